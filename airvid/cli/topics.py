"""The manual beyond the commands, `airvid help TOPIC`."""

from __future__ import annotations

from collections.abc import Sequence

from airvid.config import SETTINGS, variable

# Exit code, name in JSON, what it means in a word, when.
EXIT_CODES = (
    (0, "", "done", "done"),
    (1, "failure", "failure", "anything unforeseen; several tasks ended in different ways"),
    (2, "usage", "usage", "bad options, or a request that the model's caps do not allow; nothing was sent"),
    (3, "auth", "key", "no key, or one that is refused"),
    (4, "not_found", "not found", "no such task, or a model named to `models`"),
    (5, "task_failed", "task failed", "the task failed; it is not charged"),
    (6, "expired", "expired", "the task or its result is gone"),
    (7, "payment", "payment", "no balance, or `--max-cost` or a budget would be passed (nothing was sent)"),
    (8, "limited", "limited", "refused by a rate or concurrency limit"),
    (
        9,
        "unavailable",
        "unavailable",
        "network or server failure after the retries; also a create whose fate is unknown",
    ),
    (
        10,
        "timeout",
        "timeout",
        "`--timeout` ran out, or a task that is not finished was to be downloaded; the task itself goes on",
    ),
    (
        11,
        "file",
        "file",
        "a local file: exists, not writable, disk full, not an image, a broken config file, the result is no video",
    ),
    (129, "", "hung up", "the terminal was closed"),
    (130, "", "interrupted", "Ctrl-C; a task that was submitted goes on"),
    (141, "", "closed pipe", "the reader of standard output went away"),
    (143, "", "terminated", "a polite kill; a task that was submitted goes on"),
)
NAMES = {code: word for code, _, word, _ in EXIT_CODES}


def _exit_codes() -> str:
    lines = []
    for code, name, _, when in EXIT_CODES:
        line = f"  {code:<5}{name:<13}"
        for word in when.split(" "):
            if len(line) + len(word) > 79:
                lines.append(line.rstrip())
                line = " " * 20
            line += word + " "
        lines.append(line.rstrip())
    return "\n".join(lines)


def _option_variables() -> str:
    """The variables of the settings that are options; the others are told of one by one."""
    told_apart = ("base-url", "connect-timeout", "read-timeout", "create-timeout", "budget.day", "budget.month")
    return "\n".join(f"  {variable(name):<22}--{name}" for name in SETTINGS if name not in told_apart)


_TASK_KEYS = """\
A task is the API's own object, with every key that the API sent, whether this
version of airvid knows it or not. The usual ones:

  task_id           string
  status            string        as the API spells it
  model             string
  progress          number        0 to 100
  created           number        Unix seconds
  expires_at        number        Unix seconds
  cost_cents        number        US cents, fractions possible
  result_url        string        once it is completed; signed, dies early
  error             string or object
  duration_seconds  number

Any of them may be null or missing, but task_id is always there (null for a
create of unknown fate). One key is added, airvid, an object with all of these
keys; they are null where this machine does not know:

  status            string        queued, processing, completed, failed or
                                  expired; or the API's own new word; with
                                  list --local also intended, waiting, sent,
                                  unknown or refused: what became of the POST;
                                  and deleted, whose history entry is removed
  prompt            string
  request           object        the body that was sent
  output            string        the file it was saved to
  bytes             integer       that file's length
  estimate_cents    number        duration x the listed price
  intended_at       number        Unix seconds, before the POST
  saved_at          number        Unix seconds
  fate              string        known, intended, waiting, sent, unknown or
                                  refused
  candidates        array         ids that a create of unknown fate may have"""

TOPICS: dict[str, str] = {
    "exit-codes": f"""\
Exit codes

{_exit_codes()}

With several tasks or IDs the exit code is the common one where they agree,
else 1. Where a request has several faults, the first of 2, 11 and 7 decides.

An error is a line on standard error, "error: what happened", and where
something can be done a second one, "hint: the very command". With --json it
is an object; see airvid help json.
""",
    "environment": f"""\
Environment

An option on the command line goes before the environment, the environment
before the config file, the config file before the default. An empty variable
counts as unset.

  AIRVID_API_KEY, AIRFORCE_API_KEY
                        the API key; the first that is set
  AIRVID_BASE_URL, AIRFORCE_BASE_URL
                        the API's base URL; the first that is set
  AIRVID_SANDBOX        1: everything happens in the sandbox, as with --sandbox

Defaults of the options of the same name; AIRVID_SOUND, AIRVID_WAIT,
AIRVID_FORCE and AIRVID_OPEN are true or false:
{_option_variables()}

  AIRVID_BUDGET_DAY     US dollars a day; what would pass them is not sent
  AIRVID_BUDGET_MONTH   US dollars a month
  AIRVID_CONNECT_TIMEOUT
                        time to connect (10s)
  AIRVID_READ_TIMEOUT   silence of a server that counts as failure (30s)
  AIRVID_CREATE_TIMEOUT time for the answer to a create (2m)

Also honoured:
  NO_COLOR              no colours
  FORCE_COLOR           messages in colour where standard error is no terminal;
                        results in a pipe stay plain
  TERM=dumb             no colours, and lines instead of bars
  COLUMNS, LINES        the size of the terminal, for tables, bars and this help
  HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
                        proxies
  SSL_CERT_FILE, SSL_CERT_DIR
                        certificates to trust beside the system's own
  XDG_CONFIG_HOME       holds airvid/config.toml
  XDG_DATA_HOME         holds airvid/journal.db and airvid/sandbox/
  XDG_CACHE_HOME        holds what can be had again
  DISPLAY, WAYLAND_DISPLAY
                        where --open finds a desktop
  TMPDIR                where a clip waits that goes to standard output
""",
    "templates": """\
Templates for -o

-o takes a file, a directory, - (standard output), or a template: a path with
fields in braces. Nothing in a value can leave the folder that the template
names.

  {id}          the task's id
  {short_id}    eight characters of it
  {model}       the model
  {slug}        the prompt as a file name, letters of every script kept
  {date}        the date of the create, 2026-11-20, in local time
  {time}        its time, 140312
  {n}           the clip's number, from 1, padded to the count's width
  {seed}        the seed; an error where there is none

{{ and }} stand for braces. A directory (one that exists, or with / at its end)
means DIRECTORY/{date}-{slug}-{short_id}.mp4. Several clips to one plain name
are numbered: fox.mp4 becomes fox-1.mp4, fox-2.mp4. An existing file is an
error (exit code 11) unless --force.

Examples:
  airvid create "fox in snow" -n 4 -o 'takes/{slug}-{n}.mp4'
  airvid download --all -o 'clips/{date}/{model}-{short_id}.mp4'
""",
    "json": f"""\
JSON

With --json results are JSON on standard output, and errors JSON on standard
error. models and list print one array; every other command prints one object
a line, compact in a pipe, indented on a terminal. Keys may be added in later
versions, none is renamed or removed.

Tasks: create, status, watch, download, list

{_TASK_KEYS}

create prints a task as it is made, or with --wait as it ends; watch prints it
at every change, download when it is saved. list --ids prints an array of
strings.

create --dry-run
  request           object        the body that would be sent
  airvid.count      integer       how often
  airvid.estimate_cents
                    number, null  for all of them

models
  Each model as the API lists it, plus one key, airvid:
  airvid.clip.seconds
                    number, null  --duration, else the model's minimum
  airvid.clip.cost_usd
                    number, null  what such a clip is estimated to cost
  airvid.healthy    boolean

preview
  file              string, null  null where it was fetched for this alone
  frames            integer, null
  seconds           number, null
  width, height     integer       pixels
  codec             string
  size              integer       bytes

delete
  task_id           string
  deleted           boolean       true, also where it was gone already

auth login
  key               string        masked
  path              string        the file that it is in
auth logout
  removed           boolean
  path              string
auth status
  source            string        a variable, a file, or sandbox
  key               string, null  masked
  base_url          string        not with the sandbox

config list, config get
  name              string
  value             string, number or boolean
  source            string        a variable, or the config file
config set
  name              string
  value             string, number or boolean
config unset
  name              string
  removed           boolean
config path
  path              string

sandbox
  base_url          string
  api_key           string

Errors, an object a line on standard error; notes and progress stay text there,
and -q leaves the errors alone
  error.code        string        a name from airvid help exit-codes
  error.message     string
  error.hint        string, null  the command that helps
  error.exit_code   integer
  error.request_id  string        where the server gave one
  error.task_id     string        where it is about one task
  error.candidates  array         ids that a create of unknown fate may have
""",
}
SUMMARIES = {
    "exit-codes": "What the program's exit code tells.",
    "environment": "The variables that it listens to.",
    "templates": "File names made of {fields}.",
    "json": "Every key of --json, and its type.",
}


def page(words: Sequence[str]) -> str | None:
    """The text on a topic; None where there is none of that name."""
    return TOPICS.get(words[0]) if len(words) == 1 else None
