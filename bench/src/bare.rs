//! The floor of a publish: an axum handler that parses the same JSON, answers as Herald does, and does nothing else.

use std::io::Write;
use std::net::Ipv4Addr;

use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Outcome;

/// Herald's `POST /api/v1/notifications`, one notification.
#[derive(Deserialize)]
struct Notification {
    destination: String,
    user: Option<String>,
    payload: Box<RawValue>,
}

#[derive(Serialize)]
struct Accepted {
    id: String,
}

/// Prints its port on standard output, and serves until it is killed.
pub fn serve() -> Outcome<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            println!("{}", listener.local_addr()?.port());
            std::io::stdout().flush()?;
            let listener = listener.tap_io(|stream| {
                // Without it the answer merely comes later.
                let _ = stream.set_nodelay(true);
            });
            let router = Router::new().route("/api/v1/notifications", post(accept));
            Ok(axum::serve(listener, router).await?)
        })
}

async fn accept(Json(notification): Json<Notification>) -> (StatusCode, Json<Accepted>) {
    std::hint::black_box((notification.destination, notification.user, notification.payload));
    let id = ulid::Ulid::new().to_string();
    (StatusCode::ACCEPTED, Json(Accepted { id }))
}
