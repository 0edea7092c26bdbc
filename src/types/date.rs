//! Dates and times as IMAP writes them (RFC 9051 §9, `date` and `date-time`).

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::invalid::InvalidArgument;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SECONDS_PER_DAY: i64 = 86_400;

/// A day of the (proleptic Gregorian) calendar in the years 0 to 9999.
///
/// ```
/// use mailpool::Date;
/// let date = Date::new(1994, 2, 1).ok_or("no such day")?;
/// assert_eq!(date.to_string(), "1-Feb-1994");
/// assert_eq!(Date::new(2023, 2, 29), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day, if there is one: months and days count from 1.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let exists = year <= 9999 && day >= 1 && day <= days_in_month(year, month);
        exists.then_some(Self { year, month, day })
    }

    /// The year, 0 to 9999.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// The day, in UTC, of a number of seconds since 1970; `None` outside the years 0 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        Self::from_days(seconds.div_euclid(SECONDS_PER_DAY))
    }

    /// Days since 1970-01-01.
    fn days(self) -> i64 {
        // Years from March, so that the leap day is the last.
        let (year, month) = match self.month {
            1 | 2 => (i64::from(self.year) - 1, i64::from(self.month) + 9),
            _ => (i64::from(self.year), i64::from(self.month) - 3),
        };
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
    }

    fn from_days(days: i64) -> Option<Self> {
        let days = days.checked_add(719_468)?;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (year, month) = match month {
            0..=9 => (year, month + 3),
            _ => (year + 1, month - 9),
        };
        let year = u16::try_from(era.checked_mul(400)?.checked_add(year)?).ok()?;
        Self::new(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    }

    /// Reads `1-Feb-1994`, also with a space or a zero before the day.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let day = number(parts.next()?.trim_start_matches(' '), 1, 2)?;
        let name = parts.next()?;
        let month = MONTHS
            .iter()
            .position(|month| month.eq_ignore_ascii_case(name))?
            + 1;
        let year = number(parts.next()?, 4, 4)?;
        Self::new(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    }

    fn month_name(self) -> &'static str {
        MONTHS
            .get(usize::from(self.month).wrapping_sub(1))
            .copied()
            .unwrap_or_default()
    }
}

fn days_in_month(year: u16, month: u8) -> u8 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// Reads digits only, as many as allowed.
fn number(text: &str, least: usize, most: usize) -> Option<u16> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// The `date-text` of SEARCH: `1-Feb-1994`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:04}", self.day, self.month_name(), self.year)
    }
}

impl FromStr for Date {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        Self::parse(text).ok_or(InvalidArgument::new(
            "date",
            "is not of the form 1-Feb-1994",
        ))
    }
}

/// The day in UTC.
impl TryFrom<SystemTime> for Date {
    type Error = InvalidArgument;

    fn try_from(time: SystemTime) -> Result<Self, InvalidArgument> {
        DateTime::try_from(time).map(DateTime::date)
    }
}

/// A time to the second, with the offset of the place where it was written.
///
/// Two values are equal when they are written alike; to compare instants, compare
/// [`unix_seconds`](Self::unix_seconds).
///
/// ```
/// use mailpool::DateTime;
/// let time: DateTime = "17-Jul-1996 02:44:25 -0700".parse()?;
/// assert_eq!(time.unix_seconds(), 837_596_665);
/// assert_eq!(time.to_string(), "17-Jul-1996 02:44:25 -0700");
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    date: Date,
    hour: u8,
    minute: u8,
    second: u8,
    offset_minutes: i16,
}

impl DateTime {
    /// The time, if there is one: up to 23:59:60 (a leap second), with an offset from UTC of
    /// less than 24 hours, positive east of Greenwich.
    pub fn new(date: Date, hour: u8, minute: u8, second: u8, offset_minutes: i16) -> Option<Self> {
        let exists =
            hour < 24 && minute < 60 && second <= 60 && (-1439..=1439).contains(&offset_minutes);
        exists.then_some(Self {
            date,
            hour,
            minute,
            second,
            offset_minutes,
        })
    }

    /// The time in UTC; `None` outside the years 0 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let date = Date::from_unix_seconds(seconds)?;
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let part = |value: i64| u8::try_from(value).ok();
        Self::new(
            date,
            part(second / 3600)?,
            part(second / 60 % 60)?,
            part(second % 60)?,
            0,
        )
    }

    /// Seconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.
    pub fn unix_seconds(self) -> i64 {
        self.date.days() * SECONDS_PER_DAY
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
            - i64::from(self.offset_minutes) * 60
    }

    /// The day, at the place where the time was written.
    pub const fn date(self) -> Date {
        self.date
    }

    /// The hour, 0 to 23.
    pub const fn hour(self) -> u8 {
        self.hour
    }

    /// The minute, 0 to 59.
    pub const fn minute(self) -> u8 {
        self.minute
    }

    /// The second, 0 to 60.
    pub const fn second(self) -> u8 {
        self.second
    }

    /// The offset from UTC in minutes, positive east of Greenwich.
    pub const fn offset_minutes(self) -> i16 {
        self.offset_minutes
    }

    /// As RFC 3339 has it, such as `1996-07-17T02:44:25-07:00`.
    pub(crate) fn to_rfc3339(self) -> String {
        let offset = self.offset_minutes.unsigned_abs();
        let zone = match self.offset_minutes {
            0 => "Z".to_owned(),
            minutes => {
                let sign = if minutes < 0 { '-' } else { '+' };
                format!("{sign}{:02}:{:02}", offset / 60, offset % 60)
            }
        };
        let Date { year, month, day } = self.date;
        let (hour, minute, second) = (self.hour, self.minute, self.second);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_start_matches(' ').splitn(3, ' ');
        let date = Date::parse(parts.next()?)?;
        let mut clock = parts.next()?.splitn(3, ':');
        let mut two_digits = || u8::try_from(number(clock.next()?, 2, 2)?).ok();
        let (hour, minute, second) = (two_digits()?, two_digits()?, two_digits()?);
        let zone = parts.next()?;
        let (sign, digits) = match zone.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let zone = i16::try_from(number(digits, 4, 4)?).ok()?;
        if zone % 100 >= 60 {
            return None;
        }
        Self::new(
            date,
            hour,
            minute,
            second,
            sign * (zone / 100 * 60 + zone % 100),
        )
    }
}

/// The `date-time` of APPEND and INTERNALDATE, without its quotes: ` 1-Feb-1994 02:44:25 +0000`.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let offset = self.offset_minutes.unsigned_abs();
        write!(
            f,
            "{:2}-{}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            self.date.day,
            self.date.month_name(),
            self.date.year,
            self.hour,
            self.minute,
            self.second,
            offset / 60,
            offset % 60,
        )
    }
}

/// Reads what `Display` writes; the day may also stand without its space.
impl FromStr for DateTime {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        Self::parse(text).ok_or(InvalidArgument::new(
            "date and time",
            "is not of the form 17-Jul-1996 02:44:25 -0700",
        ))
    }
}

/// The time in UTC, to the second before it.
impl TryFrom<SystemTime> for DateTime {
    type Error = InvalidArgument;

    fn try_from(time: SystemTime) -> Result<Self, InvalidArgument> {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).ok(),
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).ok();
                whole.map(|whole| -whole - i64::from(before.subsec_nanos() > 0))
            }
        };
        seconds
            .and_then(Self::from_unix_seconds)
            .ok_or(InvalidArgument::new(
                "date and time",
                "is outside the years 0 to 9999",
            ))
    }
}

impl From<DateTime> for SystemTime {
    fn from(time: DateTime) -> Self {
        let seconds = time.unix_seconds();
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        // Where the system's clock cannot hold the year (1601 is Windows' first).
        time.unwrap_or(UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for (year, month, day) in [
            (2023, 2, 29),
            (1900, 2, 29),
            (2024, 4, 31),
            (2024, 0, 1),
            (2024, 13, 1),
            (2024, 1, 0),
            (10_000, 1, 1),
        ] {
            assert_eq!(Date::new(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(Date::new(2000, 2, 29).is_some() && Date::new(2024, 2, 29).is_some());
    }

    #[test]
    fn date_times_are_read_and_written() {
        for text in [
            "17-Jul-1996 02:44:25 -0700",
            " 1-Jan-0000 00:00:00 +0000",
            "31-Dec-9999 23:59:60 +1359",
        ] {
            assert_eq!(text.parse::<DateTime>().unwrap().to_string(), text);
        }
        let lenient: DateTime = "1-JAN-2024 00:00:00 -0030".parse().unwrap();
        assert_eq!(lenient.to_string(), " 1-Jan-2024 00:00:00 -0030");
        for bad in [
            "",
            "17-Jul-1996",
            "17-Jul-1996 02:44:25",
            "17-Jul-1996 24:00:00 +0000",
            "17-Jul-1996 02:60:00 +0000",
            "17-Jul-1996 02:44:61 +0000",
            "17-Jul-1996 02:44:25 0000",
            "17-Jul-1996 02:44:25 +2400",
            "17-Jul-1996 02:44:25 +0060",
            "17-Jul-1996 02:44:25 +00000",
            "17-Jul-96 02:44:25 +0000",
            "+7-Jul-1996 02:44:25 +0000",
            "17-Foo-1996 02:44:25 +0000",
            "30-Feb-1996 02:44:25 +0000",
            "17-Jul-1996 02:44:25 é0000",
            "17-Jul-1996\r\n02:44:25 +0000",
        ] {
            assert!(bad.parse::<DateTime>().is_err(), "{bad}");
        }
        assert_eq!(
            "01-feb-1994".parse::<Date>().unwrap().to_string(),
            "1-Feb-1994"
        );
    }

    #[test]
    fn known_instants() {
        let seconds = |text: &str| text.parse::<DateTime>().unwrap().unix_seconds();
        assert_eq!(seconds("1-Jan-1970 00:00:00 +0000"), 0);
        assert_eq!(seconds("31-Dec-1969 23:59:59 +0000"), -1);
        assert_eq!(seconds("29-Feb-2000 12:00:00 +0100"), 951_822_000);
        assert_eq!(seconds("17-Jul-1996 02:44:25 -0700"), 837_596_665);
        assert_eq!(seconds("1-Jan-0000 00:00:00 +0000"), -62_167_219_200);
        let before = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(DateTime::try_from(before).unwrap().unix_seconds(), -2);
        assert_eq!(
            Date::try_from(UNIX_EPOCH).unwrap().to_string(),
            "1-Jan-1970"
        );
        assert_eq!(DateTime::from_unix_seconds(i64::MAX), None);
        assert_eq!(DateTime::from_unix_seconds(i64::MIN), None);
    }

    proptest! {
        #[test]
        fn seconds_come_back(seconds in -62_167_219_200i64..253_402_300_800) {
            let time = DateTime::from_unix_seconds(seconds).unwrap();
            prop_assert_eq!(time.unix_seconds(), seconds);
            prop_assert_eq!(time.to_string().parse::<DateTime>().unwrap(), time);
            if seconds.abs() < 10_000_000_000 {
                prop_assert_eq!(DateTime::try_from(SystemTime::from(time)).unwrap(), time);
            }
        }
    }
}
