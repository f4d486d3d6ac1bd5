//! The link that turns CONNECT's credentials into a principal. Knows `auth/`, no frame and no socket.
