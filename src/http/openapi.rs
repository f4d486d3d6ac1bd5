//! Part of `http/`; see the module above.
