//! Part of `bus/`; see the module above.
