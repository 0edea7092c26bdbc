//! What mailpool costs by itself: each in a process of its own.

mod bare;
mod cancel;
mod crowd;
mod idle;
mod memory;
mod opening;
mod overhead;
mod parsing;

use crate::job::{Cost, Outcome, Result, Target};
use crate::peers::mail;

pub(crate) fn run(target: &Target, cost: Cost) -> Result<Outcome> {
    match cost {
        Cost::Warm => opening::warm(target),
        Cost::Opening => opening::opening(target),
        Cost::Overhead { threads } => overhead::overhead(threads),
        Cost::Floor { batch } => overhead::floor(target, batch),
        Cost::BareFetch => bare::fetch(target),
        Cost::Idle { seconds } => idle::wake_ups(target, seconds),
        Cost::IdleMemory => idle::memory(target),
        Cost::Allocations => memory::allocations(target),
        Cost::OneByOne => memory::one_by_one(target),
        Cost::Streamed => memory::streamed(target),
        Cost::Headers => parsing::headers(target),
        Cost::SearchAnswer { uids, step } => parsing::search_answer(uids, step),
        Cost::Cancel { what, tls } => cancel::cancel(what, tls),
        Cost::LargeMail { mib } => mail::large(target, mib),
        Cost::Crowd {
            connections,
            callers,
        } => crowd::crowd(target, connections, callers),
    }
}
