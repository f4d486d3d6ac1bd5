//! Config → App (bound listeners) → run → drain. The only file that knows everything.
