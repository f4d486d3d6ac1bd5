//! A second decoder, written from the specification's grammar alone: it has the whole input, no limits but the
//! command's length, and is not optimized. It shares no code with the first.

use super::{End, Plain};
use crate::stomp::Version;

/// The frames of `input` up to its end or the first fault (`None`).
pub(super) fn decode(version: Option<Version>, mut input: &[u8]) -> (Vec<Plain>, Option<End>) {
    let mut frames = Vec::new();
    loop {
        match next(version, input) {
            Step::Frame(frame, rest) => {
                frames.push(frame);
                input = rest;
            }
            Step::End(end) => return (frames, Some(end)),
            Step::Fault => return (frames, None),
        }
    }
}

enum Step<'a> {
    Frame(Plain, &'a [u8]),
    End(End),
    Fault,
}

fn next(version: Option<Version>, mut input: &[u8]) -> Step<'_> {
    loop {
        input = match input {
            [] => return Step::End(End::Idle),
            [b'\r'] => return Step::End(End::HalfRead),
            [b'\n' | 0, rest @ ..] | [b'\r', b'\n', rest @ ..] => rest,
            [b'\r', ..] => return Step::Fault,
            _ => break,
        };
    }
    let cr_lf = version.is_none() || version == Some(Version::V1_2);
    let mut lines = Vec::new();
    loop {
        let Some(end) = input.iter().position(|byte| *byte == b'\n' || *byte == 0) else {
            let no_command = lines.is_empty() && input.len() > 34;
            return if no_command {
                Step::Fault
            } else {
                Step::End(End::HalfRead)
            };
        };
        if input[end] == 0 {
            return Step::Fault;
        }
        let mut line = &input[..end];
        input = &input[end + 1..];
        if cr_lf && line.ends_with(b"\r") {
            line = &line[..line.len() - 1];
        }
        if line.is_empty() {
            break;
        }
        if lines.is_empty() && line.len() > 32 {
            return Step::Fault;
        }
        lines.push(line);
    }
    let Some((command, headers)) = head(version, cr_lf, &lines) else {
        return Step::Fault;
    };
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = match length.map(|(_, value)| value.parse::<u32>()) {
        Some(Ok(length)) if !length_has_sign(&headers) => Some(length as usize),
        Some(_) => return Step::Fault,
        None => None,
    };
    // Blank lines behind a CONNECT that offers 1.0 at most.
    let offers = headers.iter().find(|(name, _)| name == "accept-version");
    let offers = offers.map_or("1.0", |(_, value)| value);
    let has = |version: &str| offers.split(',').any(|offered| offered.trim() == version);
    let blank = matches!(&*command, "CONNECT" | "STOMP") && has("1.0") && !has("1.1") && !has("1.2");
    let ignored = blank || command == "SUBSCRIBE" && version == Some(Version::V1_0);
    let may = command == "SEND" || ignored;
    let nul = input.iter().position(|byte| *byte == 0);
    let body = &input[..length.or(nul).unwrap_or(input.len()).min(input.len())];
    if blank && body.iter().any(|byte| !b"\r\n".contains(byte)) {
        return Step::Fault;
    }
    let length = match length {
        Some(length) if length > 0 && !may => return Step::Fault,
        Some(length) => length,
        None => match input.iter().position(|byte| *byte == 0) {
            Some(length) if length > 0 && !may => return Step::Fault,
            Some(length) => length,
            None if !input.is_empty() && !may => return Step::Fault,
            None => return Step::End(End::HalfRead),
        },
    };
    match input.get(length) {
        None => Step::End(End::HalfRead),
        Some(0) => {
            let body = if ignored {
                Vec::new()
            } else {
                input[..length].to_vec()
            };
            Step::Frame((command, headers, body), &input[length + 1..])
        }
        Some(_) => Step::Fault,
    }
}

fn length_has_sign(headers: &[(String, String)]) -> bool {
    headers
        .iter()
        .any(|(name, value)| name == "content-length" && value.starts_with('+'))
}

fn head(version: Option<Version>, cr_lf: bool, lines: &[&[u8]]) -> Option<(String, Vec<(String, String)>)> {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| String::from_utf8(line.to_vec()).ok())
        .collect::<Option<_>>()?;
    if cr_lf && lines.iter().any(|line| line.contains('\r')) {
        return None;
    }
    let (command, lines) = lines.split_first()?;
    let known = "CONNECT STOMP SEND SUBSCRIBE UNSUBSCRIBE ACK NACK BEGIN COMMIT ABORT DISCONNECT";
    known.split(' ').find(|known| known == command)?;
    let connect = command == "CONNECT" || command == "STOMP";
    let trim = if connect {
        !lines.iter().any(|line| line.starts_with("accept-version:"))
    } else {
        version == Some(Version::V1_0)
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() {
            return None;
        }
        let value = if trim {
            value.trim_start_matches([' ', '\t'])
        } else {
            value
        };
        let literal = connect || version.is_none() || version == Some(Version::V1_0);
        let decode = |text: &str| match literal {
            true => Some(text.to_owned()),
            false => unescape(text, version == Some(Version::V1_2)),
        };
        let (name, value) = (decode(name)?, decode(value)?);
        if !headers.iter().any(|(held, _)| *held == name) {
            headers.push((name, value));
        }
    }
    Some((command.clone(), headers))
}

fn unescape(text: &str, cr: bool) -> Option<String> {
    let mut out = String::new();
    let mut escaping = false;
    for c in text.chars() {
        match (escaping, c) {
            (false, '\\') => escaping = true,
            (false, c) => out.push(c),
            (true, c) => {
                out.push(match c {
                    'n' => '\n',
                    'c' => ':',
                    '\\' => '\\',
                    'r' if cr => '\r',
                    _ => return None,
                });
                escaping = false;
            }
        }
    }
    (!escaping).then_some(out)
}
