"""Examples for the end of each command's `--help`: what people type, with what usually stands there.

Apart from the commands because the reference in docs/ is made from the same lines, and a test parses every
one of them. Ids are written as their names in capitals, as in the help itself.
"""

from __future__ import annotations

#: Command -> lines. Every command has at least one, but for those that run until they are stopped.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "serve": (
        "backstay serve",
        "backstay serve --data-dir /srv/backstay --http 127.0.0.1:8321",
    ),
    "worker": (
        "backstay worker --processes 4",
        "backstay worker --threads 8 --http 127.0.0.1:8322   # one process, with health and metrics",
    ),
    "web": ("backstay web --http 127.0.0.1:8321",),
    "migrate": ("backstay migrate",),
    "publish": (
        "backstay publish create-snapshot --subject tenant/acme/service/shop --wait",
        'backstay publish upgrade-service --subject tenant/acme/service/shop --data \'{"version": "v2.0"}\' --wait',
        "backstay publish register-service --subject tenant/acme/service/shop --data @shop.json",
        "backstay messages   # what can be published",
    ),
    "operations list": (
        "backstay operations list",
        "backstay operations list --state STUCK --state FAILED",
        "backstay operations list --service shop --limit 5 --json",
    ),
    "operations show": ("backstay operations show OPERATION_ID",),
    "operations cancel": ("backstay operations cancel OPERATION_ID",),
    "operations watch": (
        "backstay operations watch                # everything that is under way, until Ctrl-C",
        "backstay operations watch OPERATION_ID   # one, to its outcome, whose code it ends with",
    ),
    "operations explain": (
        "backstay operations explain OPERATION_ID",
        "backstay operations explain OPERATION_ID --json | jq .story",
    ),
    "operations resolve": (
        "backstay operations resolve OPERATION_ID --retry",
        "backstay operations resolve OPERATION_ID --accept --reason 'the port was closed by hand'",
    ),
    "operations move": ("backstay operations move OPERATION_ID --to web-2 --reason 'web-1 burnt'",),
    "operations give-up": ("backstay operations give-up OPERATION_ID --reason 'web-1 burnt'",),
    "dead-letters list": (
        "backstay dead-letters list",
        "backstay dead-letters list --all --json",
    ),
    "dead-letters groups": ("backstay dead-letters groups",),
    "dead-letters show": (
        "backstay dead-letters show DEAD_LETTER_ID",
        "backstay dead-letters show DEAD_LETTER_ID --raw   # with the message, secrets included",
    ),
    "dead-letters plan": ("backstay dead-letters plan --group FINGERPRINT",),
    "dead-letters replay": (
        "backstay dead-letters replay DEAD_LETTER_ID",
        "backstay dead-letters replay --group FINGERPRINT --canary 3 --rate 30 --wait",
        "backstay dead-letters replay --service shop --dry-run",
    ),
    "dead-letters replays": (
        "backstay dead-letters replays",
        "backstay dead-letters replays REPLAY_ID --wait",
    ),
    "dead-letters stop": ("backstay dead-letters stop REPLAY_ID --reason 'wrong group'",),
    "dead-letters edit": (
        "backstay dead-letters edit DEAD_LETTER_ID --reason 'a label was no text'",
        'backstay dead-letters show DEAD_LETTER_ID --raw | sed -n \'s/"label"/"labels"/p\' > corrected.json',
        "backstay dead-letters edit DEAD_LETTER_ID --data @corrected.json --dry-run",
    ),
    "dead-letters discard": (
        "backstay dead-letters discard DEAD_LETTER_ID --reason 'sent by a test'",
        "backstay dead-letters discard --group FINGERPRINT --reason 'the service is gone'",
    ),
    "dead-letters export": ("backstay dead-letters export --all",),
    "snapshots list": (
        "backstay snapshots list --service shop",
        "backstay snapshots list --label owner:42 --label reason:nightly --json",
    ),
    "snapshots show": ("backstay snapshots show SNAPSHOT_ID",),
    "snapshots create": (
        "backstay snapshots create --service shop",
        "backstay snapshots create --service shop --label reason:before-migration --exclude 'cache/'",
    ),
    "snapshots restore": (
        "backstay snapshots diff SNAPSHOT_ID                  # first look at what would change",
        "backstay snapshots restore SNAPSHOT_ID",
        "backstay snapshots restore --service shop --at 2026-11-20T03:00:00Z --path etc/shop.conf",
        "backstay snapshots restore SNAPSHOT_ID --target-directory shop-copy   # beside the live one",
    ),
    "snapshots diff": ("backstay snapshots diff SNAPSHOT_ID --path etc",),
    "snapshots delete": ("backstay snapshots delete SNAPSHOT_ID",),
    "snapshots verify": (
        "backstay snapshots verify SNAPSHOT_ID",
        "backstay snapshots verify SNAPSHOT_ID --level restore-test",
        "backstay snapshots verify SNAPSHOT_ID --replica far",
    ),
    "snapshots pin": ("backstay snapshots pin SNAPSHOT_ID --reason 'evidence, ticket 4711'",),
    "snapshots unpin": ("backstay snapshots unpin SNAPSHOT_ID",),
    "snapshots export": ("backstay snapshots export SNAPSHOT_ID --keep-seconds 3600",),
    "snapshots link": ("backstay snapshots link SNAPSHOT_ID --tenant acme --ttl 600",),
    "snapshots import": (
        "backstay snapshots import-list old-backups",
        "backstay snapshots import old-backups full.tar.zst monday.tar.zst --service shop",
    ),
    "snapshots import-list": ("backstay snapshots import-list old-backups",),
    "snapshots import-rosti": ("backstay snapshots import-rosti old-backups --tenant acme --dry-run",),
    "snapshots export-record": ("backstay snapshots export-record SNAPSHOT_ID > shop.record",),
    "snapshots import-record": ("backstay snapshots import-record shop.record",),
    "retention set": ("backstay retention set shop --daily 7 --weekly 5 --zone Europe/Berlin",),
    "retention remove": ("backstay retention remove shop",),
    "retention plan": ("backstay retention plan shop",),
    "retention apply": ("backstay retention apply shop",),
    "history prune": (
        "backstay history prune --older-than 365 --dry-run",
        "backstay history prune --older-than 365",
    ),
    "schedules list": ("backstay schedules list --tenant acme",),
    "schedules show": ("backstay schedules show nightly",),
    "schedules history": ("backstay schedules history nightly --limit 20",),
    "schedules set": (
        "backstay schedules set nightly --service shop --cron '30 2 * * *' --zone Europe/Berlin --jitter 15min",
        "backstay schedules set reading --tenant acme --kind verify-snapshot --cron @weekly --data '{\"percent\": 25}'",
        "backstay schedules set drill --service shop --kind restore-drill --cron @monthly --data @drill.json",
    ),
    "schedules pause": ("backstay schedules pause nightly --reason 'new store' --until 2026-11-23T06:00:00+01:00",),
    "schedules resume": ("backstay schedules resume nightly --skip-missed",),
    "schedules remove": ("backstay schedules remove nightly --reason 'the service is gone'",),
    "rpo list": (
        "backstay rpo list",
        "backstay rpo list --missed --exit-code || echo 'somebody would lose too much'",
    ),
    "rpo set": ("backstay rpo set shop 26h",),
    "rpo remove": ("backstay rpo remove shop",),
    "drills list": ("backstay drills list --service shop",),
    "drills run": ("backstay drills run shop --goal 30min",),
    "store repack": (
        "backstay store repack SERVICE_ID --dry-run",
        "backstay store repack SERVICE_ID --below-percent 30",
    ),
    "catalogue rebuild": ("backstay catalogue rebuild --dry-run",),
    "catalogue check": ("backstay catalogue check",),
    "services apply": ("backstay services apply shop.toml",),
    "services list": ("backstay services list --tenant acme",),
    "services show": ("backstay services show shop",),
    "tokens create": (
        "backstay tokens create anna --role operator:acme --days 90",
        "backstay tokens create grafana --role viewer",
    ),
    "tokens list": ("backstay tokens list",),
    "tokens revoke": ("backstay tokens revoke TOKEN_ID",),
    "versions list": ("backstay versions list --tenant acme",),
    "versions publish": ("backstay versions publish v2.toml --tenant acme --group-key acme.shop --version v2.0",),
    "plan upgrade": (
        "backstay plan upgrade shop --version v2.0",
        "backstay plan upgrade shop --version v2.0 --exit-code || echo 'there would be changes'",
    ),
    "plan rollback": (
        "backstay plan rollback shop",
        "backstay plan rollback shop --snapshot SNAPSHOT_ID --data",
    ),
    "keys list": ("backstay keys list --snapshots",),
    "keys rotate": ("backstay keys rotate",),
    "keys rewrap": ("backstay keys rewrap",),
    "keys destroy": ("backstay keys destroy --tenant acme --yes",),
    "audit list": (
        "backstay audit list --tenant acme",
        "backstay audit list --action dead-letter.discard --json",
    ),
    "config show": ("backstay config show --origin",),
    "config new-key": ("backstay config new-key",),
    "support-bundle": (
        "backstay support-bundle",
        "backstay support-bundle --operation OPERATION_ID --log /var/log/backstay.log --output case-17.tar.gz",
    ),
    "nodes list": ("backstay nodes list",),
    "nodes show": ("backstay nodes show web-1",),
    "nodes drain": (
        "backstay nodes drain web-1 --reason 'new disk' --wait",
        "backstay nodes drain web-1   # `backstay nodes show web-1` lists what is still to end there",
    ),
    "nodes undrain": ("backstay nodes undrain web-1",),
    "nodes evacuate": (
        "backstay nodes evacuate web-1 --to web-2 --dry-run",
        "backstay nodes evacuate web-1 --to web-2 --reason 'web-1 burnt' --yes",
    ),
    "nodes forget": ("backstay nodes forget web-9 --reason 'sold'",),
    "doctor": (
        "backstay doctor",
        "backstay doctor --json | jq '.checks[] | select(.verdict != \"ok\")'",
    ),
    "replicas": ("backstay replicas --json",),
    "messages": (
        "backstay messages",
        "backstay messages --json | jq '.messages[] | select(.type == \"backstay.create-snapshot.v1\")'",
    ),
    "schema": (
        "backstay schema operations show",
        "backstay schema --json > schemas.json",
    ),
    "completion bash": ("source <(backstay completion bash)   # in ~/.bashrc",),
    "completion zsh": ("source <(backstay completion zsh)   # in ~/.zshrc, after compinit",),
    "completion fish": ("backstay completion fish > ~/.config/fish/completions/backstay.fish",),
    "demo": (
        "backstay demo",
        "backstay demo --broken   # for practice: find and repair, with what the screens say",
    ),
}
