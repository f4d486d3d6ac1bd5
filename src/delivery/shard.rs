//! Part of `delivery/`; see the module above.
