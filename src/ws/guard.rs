//! Part of `ws/`; see the module above.
