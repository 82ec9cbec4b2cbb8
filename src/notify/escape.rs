//! Text as part of what each channel reads: a title, a seller's name or a category never becomes markup.

/// Where a text goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Escape {
    /// Mail's HTML and HTML elsewhere.
    Html,
    /// A value in JSON, with its quotes.
    Json,
    /// Text that nobody interprets.
    Plain,
    /// Slack's mrkdwn: `&`, `<` and `>` are its control characters.
    Slack,
    /// Discord's Markdown, where `@` calls people too.
    Discord,
    /// The Markdown of adaptive cards.
    Teams,
    /// The HTML that Telegram knows: few tags, four named entities.
    Telegram,
}

impl Escape {
    /// A text between what a template says. `Json` is minijinja's own.
    pub(super) fn text(self, text: &str) -> String {
        match self {
            Escape::Slack => replaced(text, &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")]),
            Escape::Telegram | Escape::Html => {
                let named = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
                replaced(text, &named)
            }
            Escape::Discord => markdown(text, "\\*_~`|>#[]()<-").replace('@', "@\u{200b}"),
            Escape::Teams => markdown(text, "\\*_~`|>#[]()<-!"),
            Escape::Json | Escape::Plain => text.to_owned(),
        }
    }
}

fn replaced(text: &str, by: &[(char, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match by.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => out.push_str(to),
            None => out.push(c),
        }
    }
    out
}

/// A backslash before every character that Markdown may take for its own; not within words, where `-` and `_`
/// are letters of addresses.
fn markdown(text: &str, special: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    for (place, c) in chars.iter().enumerate() {
        let is_letter = |index: Option<usize>| {
            index.and_then(|index| chars.get(index)).is_some_and(|c| c.is_ascii_alphanumeric())
        };
        let is_within = is_letter(place.checked_sub(1)) && is_letter(Some(place + 1));
        if special.contains(*c) && !(*c == '-' && is_within) {
            out.push('\\');
        }
        out.push(*c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_text_in_every_channel() {
        let nasty = "<!channel> *bold* _it_ [a](http://x) @everyone & \"q\" B0-1 - `c` ~s~ # >";
        assert_eq!(
            Escape::Slack.text(nasty),
            "&lt;!channel&gt; *bold* _it_ [a](http://x) @everyone &amp; \"q\" B0-1 - `c` ~s~ # &gt;"
        );
        assert_eq!(
            Escape::Discord.text(nasty),
            "\\<!channel\\> \\*bold\\* \\_it\\_ \\[a\\]\\(http://x\\) @\u{200b}everyone & \"q\" B0-1 \\- \\`c\\` \\~s\\~ \\# \\>"
        );
        assert_eq!(Escape::Teams.text("![x](y) <at>a</at>"), "\\!\\[x\\]\\(y\\) \\<at\\>a\\</at\\>");
        assert_eq!(Escape::Html.text("<b>&\"'</b>"), "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;");
    }
}
