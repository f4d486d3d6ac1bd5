//! The answers of servers to a reading: some of them lag, or have expired more than others.

use super::Settings;
use super::instance::Instance;
use super::stream::{Note, Stream};
use crate::bus::history::Outcome;
use crate::bus::replay::{Ask, Listed, Page, Reading};

/// Some server answers what the reading asks.
pub(super) fn answer(
    reading: &mut Reading<Note>,
    instance: &Instance,
    stream: &Stream,
    settings: &Settings,
    random: &mut fastrand::Rng,
) -> Option<Outcome<Note>> {
    let (first, last) = stream.some_server(random);
    let to = |target: u16, from: u64| {
        let stored = stream.stored(from, first, last);
        stored.filter(move |(_, id)| stream.notes[*id].target == target)
    };
    match reading.ask() {
        Ask::Listed { sequences } => {
            let mut messages = Vec::new();
            let mut is_missing = false;
            // The first of them, each of a server of its own.
            for sequence in sequences.iter().take(random.usize(1..=sequences.len())) {
                let (first, last) = stream.some_server(random);
                let stored = stream.stored(*sequence, first, last).next();
                let note = stored.filter(|(found, _)| found == sequence);
                is_missing = note.is_none() && settings.wrong != "listed-but-gone-is-nothing";
                if is_missing {
                    break;
                }
                messages.push((*sequence, note.map(|(_, id)| stream.notes[id])));
            }
            match settings.wrong {
                "listed-is-the-targets" => {
                    messages.truncate(1);
                    reading.listed_without_a_look(Listed { messages, is_missing })
                }
                _ => reading.listed(Listed { messages, is_missing }),
            }
        }
        Ask::Back { target, witness } => {
            let (target, witness) = (*target, *witness);
            let last_of = |target| to(target, 1).last().map(|(sequence, _)| sequence);
            match settings.wrong {
                "back-unproven" => reading.back_unproven(last_of(target)),
                _ => reading.back(last_of(target), last_of(witness)),
            }
            None
        }
        Ask::Page { target, from } => {
            let mut found: Vec<_> = to(*target, from).take(settings.page + 1).collect();
            let is_last = found.len() <= settings.page;
            found.truncate(settings.page);
            let messages = found.into_iter();
            reading.page(Page {
                messages: messages
                    .map(|(sequence, id)| (sequence, Some(stream.notes[id])))
                    .collect(),
                is_last,
            })
        }
        Ask::Info => {
            if settings.wrong == "pages-then-tail" {
                reading.take_tail_late(&instance.tail);
            }
            reading.info(stream.info())
        }
    }
}
