//! Checks that involve several sections. Every finding names its key. Pure: no file is read and nothing is resolved.

use super::Config;
use crate::auth::callout::Target;
use crate::auth::callout::config::is_in_the_clear;
use crate::auth::token::config::IssuerConfig;
use crate::destination::Path;
use crate::http::access::Access;
use crate::http::config::{ClientAuth, TlsConfig};
use crate::principal::{ROLE_ADMIN, ROLE_PUBLISHER, Role};
use crate::setting::Findings;

mod permissions;
mod tracing;

impl Config {
    /// Checks every section, then what spans several. `demo`: the users of `--demo` will be there too.
    pub fn check(&self, demo: bool) -> Findings {
        let mut findings = Findings::default();
        self.http.check(&mut findings);
        self.api.check(&mut findings);
        self.auth.check(&mut findings);
        self.auth.check_order(demo, &mut findings);
        self.callout(&mut findings);
        self.auth.check_passwords(self.login.hash_memory, &mut findings);
        self.login.check(&mut findings);
        self.who_may_come(demo, &mut findings);
        self.bus.check(&mut findings);
        self.destinations.check(&mut findings);
        self.history
            .check(self.bus.url.is_some(), &self.destinations, &mut findings);
        self.application.check(&mut findings);
        self.broadcasts(&mut findings);
        permissions::check(self, &mut findings);
        self.limits.check(&mut findings);
        self.large_bodies(&mut findings);
        self.heartbeat.check(&mut findings);
        self.delivery.check(&mut findings);
        self.presence.check(&mut findings);
        self.drain.check(&mut findings);
        tracing::check(self, &mut findings);
        self.log.check(&mut findings);
        self.audit.check(&mut findings);
        findings
    }

    /// Whether anybody can log in, and who can publish.
    fn who_may_come(&self, demo: bool, findings: &mut Findings) {
        let auth = &self.auth;
        let nobody = auth.users.is_empty()
            && auth.users_file.is_none()
            && auth.issuers.is_empty()
            && auth.callout.target.is_none()
            && !auth.anonymous.enabled;
        if nobody && !demo {
            findings.warn(
                "auth.users_file",
                "nobody can log in: this, auth.users and auth.issuers are all unset",
            );
        }
        if demo && !self.demo.exposed && !self.http.listen.ip().is_loopback() {
            findings.error(
                "demo.exposed",
                format!(
                    "--demo on {}: everybody knows the passwords of its users; expected true here, or a loopback address in \
                     http.listen",
                    self.http.listen
                ),
            );
        }
        if let Some(issuer) = &self.http.page_oidc.issuer
            && auth.issuers.iter().all(|known| known.issuer != issuer.as_str())
        {
            findings.warn(
                "http.page_oidc.issuer",
                "no [[auth.issuers]] takes its tokens: nobody who signs in there can log in",
            );
        }
        let asks = |tls: &TlsConfig| tls.client_auth != ClientAuth::None;
        if !self.api.certificates.is_empty() && !asks(&self.http.tls) && !asks(&self.http.admin_tls) {
            findings.warn(
                "api.certificates",
                "no client is asked for a certificate (http.tls.client_auth)",
            );
        }
        let may_publish = |role: &Role| matches!(role.as_str(), ROLE_PUBLISHER | ROLE_ADMIN);
        let makes_publishers = |issuer: &IssuerConfig| issuer.role_map.values().any(may_publish);
        match self.api.access {
            // What the files hold is not known here.
            Access::Keys => {
                if self.api.keys.is_empty()
                    && self.api.keys_file.is_none()
                    && auth.users_file.is_none()
                    && !auth.users.iter().any(|user| user.roles.iter().any(may_publish))
                    && !auth.issuers.iter().any(makes_publishers)
                {
                    findings.warn(
                        "api.access",
                        "nobody can publish over REST: there is no key in api.keys and no user with ROLE_PUBLISHER",
                    );
                }
            }
            Access::Open => {
                if !self.http.listen.ip().is_loopback() {
                    findings.warn(
                        "api.access",
                        format!("open: whoever reaches {} may publish", self.http.listen),
                    );
                    if self.http.hosts.is_empty() {
                        findings.warn(
                            "http.hosts",
                            "api.access is open: name the hosts by which browsers come, or a page of any site may publish \
                             through theirs (DNS rebinding)",
                        );
                    }
                }
            }
        }
    }

    /// Whether questions to a backend have a way, and a safe one.
    fn callout(&self, findings: &mut Findings) {
        if self.auth.callout.target != Some(Target::Nats) {
            return;
        }
        match &self.bus.url {
            None => findings.error(
                "auth.callout.target",
                "expected bus.url too: questions go by NATS",
            ),
            Some(url) => {
                let asks_for_tls = self.bus.ca_file.is_some() || self.bus.tls_first;
                if !asks_for_tls && is_in_the_clear(&url.to_string()) {
                    findings.warn(
                        "auth.callout.target",
                        "passwords and tokens go to another machine in the clear: set bus.ca_file, or tls:// in bus.url",
                    );
                }
            }
        }
    }

    /// Whether a JSON request can hold the largest body. What NATS lets pass is known once it is connected.
    fn large_bodies(&self, findings: &mut Findings) {
        let (request, body) = (self.http.max_request_bytes, self.limits.body_bytes);
        if request < body {
            findings.warn(
                "http.max_request_bytes",
                format!("{request} is less than limits.body_bytes ({body}): a JSON request has no room for such a payload"),
            );
        }
    }

    /// Whether what is broadcast to has a broadcast prefix.
    fn broadcasts(&self, findings: &mut Findings) {
        let mut check = |key: String, path: &Path| {
            if let Err(error) = self.destinations.broadcast(path.as_str()) {
                findings.error(key, format!("expected a broadcast destination: {error}"));
            }
        };
        if let Some(path) = &self.presence.list_destination {
            check("presence.list_destination".into(), path);
        }
        for (index, route) in self.application.routes.iter().enumerate() {
            if let Some(path) = route.destination() {
                check(format!("application.routes[{index}].destination"), path);
            }
        }
    }
}

#[cfg(test)]
mod tests;
