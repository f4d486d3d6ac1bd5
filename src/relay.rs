//! From the bus into this instance: notifications to `delivery/`, control messages to whom they concern.
