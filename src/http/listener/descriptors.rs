//! File descriptors: how many this process may have open, and how many of them connections may take, so that the bus,
//! files and one more `accept` always have one. Knows no connection.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The fewest and the most that are kept for other things than connections: the bus and its next connection, users and
/// certificates that are read again, the collector, the runtime, clients that are being refused. An instance at rest has
/// about fifteen open.
const RESERVE: (u64, u64) = (32, 256);

/// The connections that `http.admin_listen` may have, so that strangers on `http.listen` cannot keep operators out, nor
/// operators them.
const ADMIN: u64 = 256;

/// How many descriptors this process may have open (RLIMIT_NOFILE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// The limit in force; `None`: no limit.
    pub soft: Option<u64>,
    /// What the process itself may raise it to.
    pub hard: Option<u64>,
}

/// How the descriptors are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Connections of `http.listen`.
    pub main: usize,
    /// Connections of `http.admin_listen`; 0 where it is not set.
    pub admin: usize,
    /// Clients of each that are being refused at the same time.
    pub refusals: usize,
}

impl OpenFiles {
    /// What is in force now.
    pub fn now() -> Self {
        let limit = getrlimit(Resource::Nofile);
        Self {
            soft: limit.current,
            hard: limit.maximum,
        }
    }

    /// Raises the soft limit of this process to its hard limit, and gives what is in force then.
    ///
    /// # Errors
    /// The system's error, as where the hard limit is above the kernel's own (`fs.nr_open`). The limit stays as it was.
    pub fn raise() -> Result<Self, Errno> {
        let Self { soft, hard } = Self::now();
        if soft != hard {
            let limit = Rlimit {
                current: hard,
                maximum: hard,
            };
            setrlimit(Resource::Nofile, limit)?;
        }
        Ok(Self::now())
    }

    /// The shares where `http.max_connections` are wanted, with or without a listener for operators. Each listener has
    /// at least one.
    pub fn shares(self, wanted: usize, separate_admin: bool) -> Shares {
        let limit = self.soft.unwrap_or(u64::MAX);
        let reserve = (limit / 4).clamp(RESERVE.0, RESERVE.1);
        let admin = match separate_admin {
            true => (limit / 8).clamp(1, ADMIN),
            false => 0,
        };
        let main = limit.saturating_sub(reserve + admin).max(1);
        let most = |share: u64| usize::try_from(share).unwrap_or(usize::MAX).min(wanted);
        Shares {
            main: most(main),
            admin: most(admin),
            // Both listeners' together leave half of the reserve to everything else.
            refusals: (reserve / 4) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_something_over() {
        let check =
            |soft: Option<u64>, wanted, separate, main, admin, refusals| {
                let shares = OpenFiles { soft, hard: soft }.shares(wanted, separate);
                let expected = Shares {
                    main,
                    admin,
                    refusals,
                };
                assert_eq!(shares, expected, "{soft:?} {wanted} {separate}");
                assert!(soft.is_none_or(|soft| soft < 64
                    || shares.main + shares.admin + 2 * shares.refusals + 16 <= soft as usize));
            };
        check(None, 100_000, false, 100_000, 0, 64);
        check(None, 100_000, true, 100_000, 256, 64);
        check(Some(1_048_576), 100_000, false, 100_000, 0, 64);
        check(Some(20_000), 100_000, false, 19_744, 0, 64);
        check(Some(20_000), 100_000, true, 19_488, 256, 64);
        check(Some(1_024), 100, true, 100, 100, 64);
        check(Some(200), 100_000, false, 150, 0, 12);
        check(Some(64), 100_000, false, 32, 0, 8);
        check(Some(64), 100_000, true, 24, 8, 8);
        check(Some(10), 100_000, true, 1, 1, 8);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let before = OpenFiles::now();
        let raised = OpenFiles::raise().unwrap();
        assert_eq!((raised.soft, raised.hard), (before.hard, before.hard));
    }
}
