//! Sections `[channels.NAME]`: how they are read, shown and refused, and what `alert test-channel` says.

use crate::sandbox::{Sandbox, answers};

/// A sandbox whose alerts go to these channels only.
fn sandbox(sections: &str) -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    sandbox.write("amzctl.toml", format!("[alerts]\nstdout = false\nfile = \"\"\n{sections}"));
    sandbox
}

const EXEC: &str =
    "[channels.ops]\ntype = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"cat >> told.ndjson\"]\n";

#[test]
fn what_is_wrong_with_a_section_is_said_with_its_place() {
    let sandbox = sandbox(
        r#"
[channels.ops]
type = "webhok"
[channels.mail]
type = "smtp"
hots = "smtp.example.com"
[channels.chat]
type = "slack"
url = "https://hooks.slack.com/services/T0/B0/x"
[channels.Loud]
type = "ntfy"
[channels.stdout]
type = "ntfy"
[channels.push]
topic = "prices"
"#,
    );
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stdout
    PLACE           PROBLEM                                                                                                                HINT
    amzctl.toml:13  `Loud` is no name of a channel: lower-case letters, digits, `-` and `_`, beginning with a letter or digit, at most 40  -
    amzctl.toml:12  unknown key `channels.chat.url` of a channel of type slack                                                             did you mean `channels.chat.url_env`?
    amzctl.toml:9   unknown key `channels.mail.hots` of a channel of type smtp                                                             did you mean `channels.mail.host`?
    amzctl.toml:6   there is no channel type `webhok`                                                                                      did you mean `webhook`?
    amzctl.toml:17  channel `push` has no `type`                                                                                           it is one of smtp, webhook, slack, discord, teams, telegram, ntfy, http, sns, sqs, exec
    amzctl.toml:15  `stdout` is the channel of `stdout` under [alerts]                                                                     -
    --- stderr
    error: the configuration has 6 problems
    "#);
}

#[test]
fn values_of_a_section_are_checked() {
    let sandbox = sandbox(
        r#"
[channels.mail]
type = "smtp"
host = "smtp.example.com"
from = "alerts@example.com"
user = "me"
tls = "none"
events = ["alert.opend"]
quiet_hours = "22:00"
time_zone = "Mars"
group = 0
marketplaces = ["XX"]
[channels.ops]
type = "webhook"
url = "ftp://example.com"
[channels.run]
type = "exec"
"#,
    );
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stdout
    PLACE           PROBLEM                                                                                                                                                                                   HINT
    amzctl.toml:5   `channels.mail.to` is empty: nobody is told                                                                                                                                               -
    amzctl.toml:5   `channels.mail.password_env` names no place of the secret: set it, or its like that ends in _file or _command                                                                             -
    amzctl.toml:10  `channels.mail.tls` is "none": a password is not sent over an open connection                                                                                                             -
    amzctl.toml:11  `channels.mail.events` is not valid: there is no event `alert.opend` (known: alert.opened, alert.escalated, alert.resolved, incident.opened, report.published, run.finished, run.failed)  -
    amzctl.toml:15  `channels.mail.marketplaces` is not valid: unknown marketplace `XX` (known: US UK DE FR IT ES JP CA MX IN AU BR NL SE PL BE TR AE SA SG EG ZA IE)                                         -
    amzctl.toml:13  `channels.mail.time_zone` is not valid: `Mars` is not an IANA time zone such as UTC or Europe/Berlin                                                                                      -
    amzctl.toml:12  `channels.mail.quiet_hours` is not valid: `22:00` is not two times such as 22:00-07:00                                                                                                    -
    amzctl.toml:14  `channels.mail.group` must be 1 to 1000                                                                                                                                                   -
    amzctl.toml:18  `channels.ops.url` must be an http address without a user or a password                                                                                                                   -
    amzctl.toml:16  `channels.ops.secret_env` names no place of the secret: set it, or its like that ends in _file or _command                                                                                -
    amzctl.toml:19  `channels.run.command` is empty: it names the program and its arguments                                                                                                                   -
    --- stderr
    error: the configuration has 11 problems
    "#);
    sandbox.write("amzctl.toml", "[channels.ops]\ntype = \"exec\"\ncommand = [\"x\"]\ngroup = \"many\"\n");
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stdout
    PLACE          PROBLEM                                                             HINT
    amzctl.toml:4  `channels.ops.group` is the text "many"; it must be a whole number  -
    --- stderr
    error: the configuration has 1 problem
    "#);
    sandbox.write("amzctl.toml", "[channels.ops]\ntype = \"exec\"\ncommand = [\"x\"]\ndigest = \"hourly\"\n");
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stdout
    PLACE          PROBLEM                                                                            HINT
    amzctl.toml:4  `channels.ops.digest` is the text "hourly"; it must be one of none, daily, weekly  -
    --- stderr
    error: the configuration has 1 problem
    "#);
}

#[test]
fn a_key_of_a_channel_can_be_said_by_a_variable_and_its_origin_is_shown() {
    let sandbox = sandbox("[channels.ops]\ntype = \"webhook\"\nsecret_env = \"OPS_KEY\"\ngroup = 5\n");
    let shown = |variable: &str, value: &str| {
        let mut command = sandbox.command("config show --origin --format tsv");
        command.env("AMZCTL_CHANNELS__OPS__URL", "https://hooks.example.com/a").env(variable, value);
        let answer = sandbox.answer(&mut command);
        answer.lines().filter(|line| line.contains("channels.")).map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = shown("AMZCTL_CHANNELS__OPS__PER_MINUTE", "30");
    for line in [
        "channels.ops.url\thttps://hooks.example.com/a\tenvironment variable AMZCTL_CHANNELS__OPS__URL",
        "channels.ops.per_minute\t30\tenvironment variable AMZCTL_CHANNELS__OPS__PER_MINUTE",
        "channels.ops.group\t5\tamzctl.toml:7",
        "channels.ops.secret_env\tOPS_KEY\tamzctl.toml:6",
        "channels.ops.digest\tnone\tdefault",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
    }
    // A list, and a key that no channel has.
    let lines = shown("AMZCTL_CHANNELS__OPS__EVENTS", "alert.opened,run.failed");
    assert!(lines.iter().any(|line| line.contains("run.failed")), "{lines:#?}");
    answers!(sandbox.run_with("AMZCTL_CHANNELS__OPS__PERMINUTE", "3", "config show"), @r#"
    exit 2
    --- stderr
    error: environment variable AMZCTL_CHANNELS__OPS__PERMINUTE: names no setting
    hint: did you mean `AMZCTL_CHANNELS__OPS__PER_MINUTE`?
    "#);
}

#[test]
fn the_schema_has_every_type_with_its_own_keys() {
    let sandbox = Sandbox::empty();
    let schema: serde_json::Value = serde_json::from_str(&sandbox.succeed("config schema")).unwrap();
    let types = schema["$defs"]["ChannelSettings"]["oneOf"].as_array().unwrap();
    let mut kinds = Vec::new();
    for reference in types {
        let pointer = reference["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
        let of_type = schema.pointer(pointer).unwrap();
        assert_eq!(of_type["additionalProperties"], false, "{pointer}");
        assert_eq!(of_type["required"][0], "type", "{pointer}");
        let kind = of_type["properties"]["type"]["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
        kinds.push(schema.pointer(kind).unwrap()["enum"][0].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds.join(" "), "smtp webhook slack discord teams telegram ntfy http sns sqs exec");
}

#[test]
fn a_test_message_says_that_it_is_one() {
    let sandbox = sandbox(EXEC);
    answers!(sandbox.run("alert test-channel ops --dry-run"), @r#"
    exit 0
    --- stderr
    dry run, nothing sent: ops is ready (exec, 1 to tell)
    "#);
    assert!(!sandbox.path("told.ndjson").exists());
    answers!(sandbox.run("alert test-channel ops"), @r#"
    exit 0
    --- stdout
    CHANNEL  RECIPIENT  SENT  DETAIL
    ops      -          true  -
    --- stderr
    ops: sent, see whether it arrived
    "#);
    let told: serde_json::Value = serde_json::from_str(&sandbox.read("told.ndjson")).unwrap();
    assert_eq!((&told["event_type"], &told["workspace"]), (&"channel.test".into(), &"main".into()));
    assert!(told["message"].as_str().unwrap().contains("This is a test message of amzctl"));
    answers!(sandbox.run("alert test-channel ohps"), @r#"
    exit 2
    --- stderr
    error: there is no channel `ohps`
    hint: channels: ops
    "#);
}

#[test]
fn a_test_ends_with_the_exit_code_of_what_went_wrong() {
    for (section, code, said) in [
        ("type = \"slack\"\nurl_env = \"NO_SUCH\"", 12, "NO_SUCH is not set"),
        (
            "type = \"webhook\"\nurl = \"https://127.0.0.1:9/\"\nsecret_command = \"echo sesame\"",
            12,
            "whsec_",
        ),
        (
            "type = \"webhook\"\nurl = \"https://127.0.0.1:9/\"\nsecret_command = \"echo whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
            2,
            "127.0.0.1, this machine",
        ),
        (
            "type = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\nallow_private = true\nsecret_command = \"echo whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
            7,
            "cannot connect",
        ),
        ("type = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"exit 65\"]", 1, "exit status: 65"),
        ("type = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"exit 75\"]", 7, "exit status: 75"),
        (
            "type = \"smtp\"\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]",
            7,
            "cannot connect",
        ),
        (
            "type = \"telegram\"\ntoken_env = \"HOME\"\nto = [\"1\"]\ntemplate = \"absent.html\"",
            2,
            "template absent.html",
        ),
    ] {
        let sandbox = sandbox(&format!("[channels.ops]\n{section}\n"));
        let answer = sandbox.run("alert test-channel ops");
        assert!(
            answer.starts_with(&format!("exit {code}\n")) && answer.contains(said),
            "{section}\n{answer}"
        );
        assert!(
            !answer.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") && !answer.contains("error: ops: sesame")
        );
    }
}

#[test]
fn a_template_that_fails_is_found_by_the_doctor_and_holds_up_no_other_channel() {
    let sandbox = Sandbox::with_market();
    let chat = "[channels.chat]\ntype = \"slack\"\nurl_env = \"HOOK\"\ntemplate = \"chat.txt\"\n";
    sandbox.write("amzctl.toml", format!("[alerts]\nstdout = false\nfile = \"\"\n{chat}{EXEC}"));
    sandbox.write("chat.txt", "{{ subject }}\n{{ evnts }}\n");
    sandbox.write(".env", "HOOK=https://hooks.slack.com/services/T0/B0/sesame\n");
    let doctor = sandbox.run("doctor --format tsv");
    assert!(doctor.starts_with("exit 2\n"), "{doctor}");
    assert!(doctor.contains("channel chat\tunhealthy") && doctor.contains("chat.txt:2"), "{doctor}");
    assert!(doctor.contains("channel ops\thealthy"), "{doctor}");
    assert!(!doctor.contains("sesame"));
    answers!(sandbox.run("alert test-channel chat"), @r#"
    exit 2
    --- stderr
    error: chat: template chat.txt:2: undefined value in `{{ evnts }}`
    hint: check what its section in amzctl.toml says, and its templates
    "#);
}

#[test]
fn what_is_found_goes_through_the_channels() {
    let sandbox = sandbox(EXEC);
    sandbox.write(
        "market.csv",
        "marketplace,asin,observed_at,price_minor\nUS,B000000001,2026-02-27T12:00:00Z,1999\nUS,B000000001,2026-02-28T12:00:00Z,999\n",
    );
    let answer = sandbox.run("run market.csv");
    assert!(answer.starts_with("exit 0\n") && answer.contains("deliver: ops: 1 delivered"), "{answer}");
    let told: serde_json::Value = serde_json::from_str(&sandbox.read("told.ndjson")).unwrap();
    assert_eq!((&told["rule"], &told["asin"]), (&"price_drop".into(), &"B000000001".into()));
}
