//! Promise: every message survives the way, and what is out of bounds is refused.
