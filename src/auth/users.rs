//! Part of `auth/`; see the module above.
