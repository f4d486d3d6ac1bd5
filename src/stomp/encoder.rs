//! Part of `stomp/`; see the module above.
