//! Promise: all instances agree on who is online, whatever the bus loses, doubles or delays.
