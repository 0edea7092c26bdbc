//! What a server offers in its answer to EHLO (RFC 5321 §4.1.1.1).

/// The extensions of a server, from its answer to EHLO or LHLO on the connection in use.
///
/// ```
/// # fn example(client: mailpool::SmtpClient) -> mailpool::Result<()> {
/// let capabilities = client.capabilities()?;
/// if capabilities.supports("CHUNKING") {
///     println!("up to {:?} bytes", capabilities.size());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmtpCapabilities {
    greeting: String,
    /// Keyword in upper case, and its parameters.
    keywords: Vec<(String, String)>,
}

impl SmtpCapabilities {
    /// From the lines of the answer. Of a keyword that comes twice both are kept.
    pub(crate) fn new(text: &str) -> Self {
        let mut lines = text.lines();
        let greeting = lines.next().unwrap_or_default().to_owned();
        let keywords = lines
            .filter_map(|line| {
                let line = line.trim();
                // `AUTH=LOGIN` is how old servers said it.
                let end = line.find([' ', '\t', '=']).unwrap_or(line.len());
                let (keyword, parameters) = line.split_at_checked(end)?;
                let parameters = parameters.trim_start_matches([' ', '\t', '=']);
                (!keyword.is_empty()).then(|| (keyword.to_ascii_uppercase(), parameters.to_owned()))
            })
            .collect();
        Self { greeting, keywords }
    }

    /// What the server says before its extensions: its domain, and perhaps a greeting.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Whether the server offers `keyword`, such as `SMTPUTF8`. Case does not matter.
    pub fn supports(&self, keyword: &str) -> bool {
        self.parameters(keyword).is_some()
    }

    /// The parameters of `keyword` as they stand there, if the server offers it.
    pub fn parameters(&self, keyword: &str) -> Option<&str> {
        let mut found = self.keywords.iter();
        found
            .find(|(name, _)| name.eq_ignore_ascii_case(keyword))
            .map(|(_, parameters)| parameters.as_str())
    }

    /// Everything that the server offers, in its order: keyword and parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let keywords = self.keywords.iter();
        keywords.map(|(name, parameters)| (name.as_str(), parameters.as_str()))
    }

    /// The largest message that the server takes, in bytes, if it names one (RFC 1870).
    pub fn size(&self) -> Option<u64> {
        let size: u64 = self.parameters("SIZE")?.trim().parse().ok()?;
        (size > 0).then_some(size)
    }

    /// The SASL mechanisms that the server offers (RFC 4954).
    pub fn auth_mechanisms(&self) -> impl Iterator<Item = &str> {
        let offers = self.keywords.iter();
        offers
            .filter(|(name, _)| name == "AUTH")
            .flat_map(|(_, parameters)| parameters.split_ascii_whitespace())
    }

    /// A limit of the server (RFC 9422), such as `RCPTMAX`.
    pub fn limit(&self, name: &str) -> Option<u64> {
        let limits = self.parameters("LIMITS")?.split_ascii_whitespace();
        let mut values = limits.filter_map(|limit| limit.split_once('='));
        let (_, value) = values.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        value.parse().ok().filter(|value| *value > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_parameters_and_limits_are_found() {
        let offered = SmtpCapabilities::new(
            "mail.example.org at your service\nPIPELINING\nSIZE 10240000\nETRN\n\
             AUTH PLAIN LOGIN\nAUTH=CRAM-MD5\nx-odd\nLIMITS MAILMAX=5 RCPTMAX=20\n\n",
        );
        assert_eq!(offered.greeting(), "mail.example.org at your service");
        assert!(offered.supports("pipelining") && offered.supports("X-ODD"));
        assert!(!offered.supports("8BITMIME"));
        assert_eq!(offered.size(), Some(10_240_000));
        assert_eq!(
            offered.auth_mechanisms().collect::<Vec<_>>(),
            ["PLAIN", "LOGIN", "CRAM-MD5"]
        );
        assert_eq!(offered.limit("RCPTMAX"), Some(20));
        assert_eq!(offered.limit("RCPTDOMAINMAX"), None);
        assert_eq!(offered.iter().count(), 7);
    }

    #[test]
    fn a_size_without_a_number_or_of_zero_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE x", "SIZE 99999999999999999999999"] {
            let offered = SmtpCapabilities::new(&format!("host\n{line}"));
            assert_eq!(offered.size(), None, "{line}");
            assert!(offered.supports("SIZE"));
        }
    }
}
