//! A browser without scripts: it keeps cookies, and sends the forms that it was shown.

use std::collections::BTreeMap;

use super::{Answer, Server};

/// Somebody with a browser: cookies, and the token of the forms that they were shown last.
pub(super) struct Browser<'s> {
    pub(super) server: &'s Server,
    pub(super) cookies: BTreeMap<String, String>,
    pub(super) form_token: String,
}

impl<'s> Browser<'s> {
    pub(super) fn new(server: &'s Server) -> Browser<'s> {
        Browser { server, cookies: BTreeMap::new(), form_token: String::new() }
    }

    pub(super) fn logged_in(server: &'s Server, key: &str) -> Browser<'s> {
        let mut browser = Browser::new(server);
        let answer = browser.log_in(key);
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{}", answer.text());
        browser
    }

    pub(super) fn log_in(&mut self, key: &str) -> Answer {
        self.get("/login");
        self.post("/login", &[("key", key)])
    }

    pub(super) fn cookie(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn took(&mut self, answer: Answer) -> Answer {
        for cookie in answer.header("set-cookie").split('\n').filter(|cookie| !cookie.is_empty()) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some((_, rest)) = answer.text().split_once("name=\"form_token\" value=\"") {
            self.form_token = rest.split('"').next().unwrap().to_owned();
        }
        answer
    }

    pub(super) fn get(&mut self, target: &str) -> Answer {
        self.get_with(target, &[])
    }

    pub(super) fn get_with(&mut self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let cookie = self.cookie();
        let own = [("Accept", "text/html"), ("Cookie", cookie.as_str())];
        let answer = self.server.send("GET", target, &[&own, headers].concat(), "");
        self.took(answer)
    }

    /// Sends a form as the page would.
    pub(super) fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.form_token.clone();
        self.post_with(target, &[&[("form_token", token.as_str())], fields].concat(), &[])
    }

    pub(super) fn post_with(
        &mut self,
        target: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookie = self.cookie();
        let own = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie.as_str())];
        let answer = self.server.send("POST", target, &[&own, headers].concat(), &body.join("&"));
        self.took(answer)
    }
}
