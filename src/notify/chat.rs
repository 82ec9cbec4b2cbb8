//! The channel types `slack`, `discord` and `teams`: a post to an address that is itself the secret.

use reqwest::Url;
use serde_json::{Value, json};

use super::address::{Address, addressed};
use super::escape::Escape;
use super::http::Poster;
use super::templates::{self, OwnTemplate, Template, cut};
use super::told::Told;
use super::{Message, Notifier, NotifyError, Sending};

/// Which service, and with it the form of what is posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chat {
    Slack,
    Discord,
    Teams,
}

/// Slack's limits: characters of a section, sections that a message gets here.
const SLACK_SECTION: usize = 2_900;
const SLACK_SECTIONS: usize = 10;
/// Discord's limits: characters of an embed's title and of its description.
const DISCORD_TITLE: usize = 256;
const DISCORD_TEXT: usize = 4_000;
/// Teams takes 28 KB in all; a character may be four bytes of UTF-8 or six of JSON.
const TEAMS_TEXT: usize = 4_000;

/// Posts messages to one chat.
#[derive(Debug)]
pub struct ChatNotifier {
    address: Address,
    chat: Chat,
    poster: Poster,
    url: Url,
    template: Template,
}

impl ChatNotifier {
    /// Errors: an own template that is none.
    pub fn new(
        address: Address,
        chat: Chat,
        poster: Poster,
        url: Url,
        own: Option<&OwnTemplate>,
    ) -> Result<ChatNotifier, NotifyError> {
        let mut url = url;
        if chat == Chat::Discord {
            // Without this it answers before it has looked at the message.
            url.query_pairs_mut().append_pair("wait", "true");
        }
        Ok(ChatNotifier { address, chat, poster, url, template: Chat::template(chat, own)? })
    }

    /// What is posted.
    pub fn body(&self, message: &Message) -> Result<Value, NotifyError> {
        let told = Told::of(message);
        let text = self.template.render(&told)?;
        Ok(match self.chat {
            Chat::Slack => slack(&told, &text),
            Chat::Discord => discord(&told, &text),
            Chat::Teams => teams(&told, &text),
        })
    }
}

impl Chat {
    fn template(self, own: Option<&OwnTemplate>) -> Result<Template, NotifyError> {
        match self {
            Chat::Slack => Template::new(own, templates::SLACK, Escape::Slack),
            Chat::Discord => Template::new(own, templates::DISCORD, Escape::Discord),
            Chat::Teams => Template::new(own, templates::TEAMS, Escape::Teams),
        }
    }
}

impl Notifier for ChatNotifier {
    addressed!();

    /// As many as fit into the text of one message, three short lines each.
    fn most_digested(&self) -> usize {
        match self.chat {
            Chat::Slack => 80,
            Chat::Discord | Chat::Teams => 12,
        }
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let request = self.poster.post(self.url.clone()).json(&self.body(message)?);
            self.poster.send(request).await.map(drop)
        })
    }
}

/// `text` is what notifications show, blocks are what the channel shows.
fn slack(told: &Told, text: &str) -> Value {
    let mut rest = text.trim();
    let mut sections = Vec::new();
    while !rest.is_empty() && sections.len() < SLACK_SECTIONS {
        let part = first_lines(rest, SLACK_SECTION);
        rest = rest[part.len()..].trim_start();
        sections.push(json!({
            "type": "section",
            // Verbatim: names in texts are not made links.
            "text": { "type": "mrkdwn", "text": part.trim_end(), "verbatim": true },
        }));
    }
    if !rest.is_empty() {
        sections
            .push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": "…", "verbatim": true } }));
    }
    json!({ "text": Escape::Slack.text(&told.subject), "blocks": sections })
}

/// As many whole lines as have at most so many characters; a part of the first where it alone is longer.
fn first_lines(text: &str, most: usize) -> &str {
    let Some((limit, _)) = text.char_indices().nth(most) else { return text };
    let head = &text[..limit];
    head.rfind('\n').map_or(head, |end| &head[..=end])
}

fn discord(told: &Told, text: &str) -> Value {
    let colour = match told.worst.as_str() {
        "critical" => 0xd9_2d_20,
        "high" => 0xf7_90_09,
        "medium" => 0xfa_c5_15,
        _ => 0x66_70_85,
    };
    json!({
        "embeds": [{
            "title": cut(&Escape::Discord.text(&told.subject), DISCORD_TITLE),
            "description": cut(text, DISCORD_TEXT),
            "color": colour,
        }],
        // Nobody is called, whatever a title says.
        "allowed_mentions": { "parse": [] },
    })
}

fn teams(told: &Told, text: &str) -> Value {
    let colour = match told.worst.as_str() {
        "critical" | "high" => "Attention",
        "medium" => "Warning",
        _ => "Default",
    };
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": [
                    {
                        "type": "TextBlock",
                        "text": Escape::Teams.text(&told.subject),
                        "weight": "Bolder",
                        "size": "Medium",
                        "color": colour,
                        "wrap": true,
                    },
                    // A single line feed is none in a card.
                    { "type": "TextBlock", "text": cut(text, TEAMS_TEXT).replace('\n', "\n\n"), "wrap": true },
                ],
            },
        }],
    })
}
