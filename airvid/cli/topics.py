"""The topics of `airvid help TOPIC`, and the exit codes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from airvid.config import SETTINGS, variable

# Exit code, name in JSON, when.
EXIT_CODES = (
    (0, "", "done"),
    (1, "failure", "an unforeseen error; or several tasks ended in different ways"),
    (2, "usage", "bad options, or a request that the model's caps do not allow; nothing was sent"),
    (3, "auth", "no key, or the API refuses it"),
    (4, "not_found", "no such task, or no such model for `models`"),
    (5, "task_failed", "the task failed; it is not charged"),
    (6, "expired", "the task or its result is gone"),
    (7, "payment", "no balance; or the clip would pass `--max-cost` or a budget, and nothing was sent"),
    (8, "limited", "refused by a rate or concurrency limit"),
    (9, "unavailable", "network or server failure after the retries; or it is unknown whether a task was made"),
    (10, "timeout", "`--timeout` ran out, or a download of a task that is not finished; the task itself goes on"),
    (11, "file", "a file, here or in a store: it exists, cannot be written, is no image, is broken; a full disk"),
    (129, "", "hung up: the terminal was closed"),
    (130, "", "interrupted by Ctrl-C; a submitted task goes on"),
    (141, "", "closed pipe: the reader of standard output has ended"),
    (143, "", "terminated by a signal; a submitted task goes on"),
)
# One or two words for each, for the help of a command.
NAMES = {code: name.replace("_", " ") or re.split(" by|:", when)[0] for code, name, when in EXIT_CODES}


def _exit_codes() -> str:
    lines = []
    for code, name, when in EXIT_CODES:
        begin = f"  {code:<5}{name:<13}"
        lines.append(textwrap.fill(when, 79, initial_indent=begin, subsequent_indent=" " * len(begin)))
    return "\n".join(lines)


def _option_variables() -> str:
    """The variables of the settings that are options; the topic names the others one by one."""
    apart = ("base-url", "connect-timeout", "read-timeout", "create-timeout", "budget.day", "budget.month")
    return "\n".join(f"  {variable(name):<22}--{name}" for name in SETTINGS if name not in apart)


_TASK_KEYS = """\
A task is the API's own object with every key that the API sent. The usual ones:

  task_id           string
  status            string        as the API spells it
  model             string
  progress          number        0 to 100
  created           number        Unix seconds
  expires_at        number        Unix seconds
  cost_cents        number        US cents, fractions possible
  result_url        string        once it is completed; signed, expires early
  error             string or object
  duration_seconds  number

Any of them may be null or missing, except task_id (null where it is unknown
whether a task was made). One key is added: airvid, an object with all of these
keys. A key that this machine does not know is null.

  status            string        queued, processing, completed, failed,
                                  expired, or another word of the API; with
                                  list --local also a word of fate, or deleted
  prompt            string
  request           object        the body that was sent
  extends           string        the task, file or address it goes on from
  output            string        where it was saved: absolute path or address
  bytes             integer       that file's length
  estimate_cents    number        duration x the listed price
  intended_at       number        Unix seconds, before the POST
  saved_at          number        Unix seconds
  took              number        seconds from the create to the end
  fate              string        of the POST: known (there is a task),
                                  intended, waiting, sent, unknown or refused
  candidates        array         ids of tasks that the POST may have made"""

TOPICS: dict[str, str] = {
    "exit-codes": f"""\
Exit codes

{_exit_codes()}

Several tasks with the same exit code give that code, others 1. A request with
several faults gives the first of 2, 11 and 7.

An error is a line on standard error, "error: what happened". A second line,
"hint: a command", says what helps. With --json it is an object: airvid help
json.
""",
    "environment": f"""\
Environment

The first of these decides: option, environment, config file, default. An empty
variable counts as unset.

  AIRVID_API_KEY, AIRFORCE_API_KEY
                        the API key; the first that is set
  AIRVID_API_KEY_FILE   a file that holds it, where neither is set
  AIRVID_BASE_URL, AIRFORCE_BASE_URL
                        the API's base URL; the first that is set
  AIRVID_SANDBOX        1: every command uses the sandbox, as with --sandbox
  AIRVID_SANDBOX_DIR    the folder of the sandbox's tasks and clips
  AIRVID_SANDBOX_FAULTS what goes wrong there, as with --fault; ; between faults
  AIRVID_SANDBOX_SEED   a number that makes random faults repeatable

Defaults of options (AIRVID_SOUND, AIRVID_WAIT, AIRVID_FORCE and AIRVID_OPEN
are true or false):
{_option_variables()}

  AIRVID_BUDGET_DAY     US dollars a day; a create beyond it is not sent
  AIRVID_BUDGET_MONTH   US dollars a month
  AIRVID_CONNECT_TIMEOUT
                        time to connect (10s)
  AIRVID_READ_TIMEOUT   silence of a server that counts as failure (30s)
  AIRVID_CREATE_TIMEOUT time for the answer to a create (2m)

Also honoured:
  NO_COLOR              no colours
  FORCE_COLOR           messages in colour also without a terminal
  TERM=dumb             no colours, and lines instead of bars
  COLUMNS, LINES        the size of the terminal, for tables, bars and this help
  HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
                        proxies; NO_PROXY takes networks (10.0.0.0/8), too
  SSL_CERT_FILE, SSL_CERT_DIR
                        certificates to trust beside the system's own; where
                        SSL_CERT_FILE is not set, REQUESTS_CA_BUNDLE or
                        CURL_CA_BUNDLE
  AWS_…, GOOGLE_…, AZURE_STORAGE_…
                        what the tools of S3, Google Cloud Storage and Azure
                        read, for -o s3://, gs:// and az:// (AWS_PROFILE,
                        AWS_ACCESS_KEY_ID, AWS_SHARED_CREDENTIALS_FILE,
                        AWS_CONFIG_FILE, …)
  XDG_CONFIG_HOME       holds airvid/config.toml
  XDG_DATA_HOME         holds airvid/journal.db, airvid/sandbox/ and clips on
                        their way to a store, airvid/uploads/
  XDG_CACHE_HOME        holds the list of models for completion
  CI, GITLAB_CI, TF_BUILD
                        a CI keeps the output: no bars, and no text that its
                        runner could take for a command
  GITHUB_ACTIONS, GITHUB_STEP_SUMMARY
                        true: errors are annotations as well, and a table of
                        the clips is appended to that file
  DISPLAY, WAYLAND_DISPLAY
                        where --open finds a desktop
  TMPDIR                folder for a clip on its way to standard output
""",
    "templates": """\
Templates for -o

-o takes a file, a directory, - (standard output; not for batch), or a template:
a path with fields in braces. A value never leaves the folder that the template
names.

  {id}          the task's id
  {short_id}    eight characters of it
  {model}       the model
  {slug}        the prompt as a file name, letters of every script kept
  {date}        the date of the create, 2026-11-20, in local time
  {time}        its time, 140312
  {n}           the clip's number, from 1, padded to the count's width
  {seed}        the seed; an error where there is none
  {row} {line}  of a batch: the row's id (without one, 8 characters made from
                what it asks for), and its line in the manifest

{{ and }} stand for braces. A directory (one that exists, or with / at its end)
means DIRECTORY/{date}-{slug}-{short_id}.mp4. Of several clips, those that
would get the same name are numbered: fox.mp4 becomes fox-1.mp4, fox-2.mp4.
~ is your home folder. A suffix of another kind of video (.mov, .webm) is an
error (exit code 2), an existing file another (11); --force overwrites it.

An address is s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY, with
fields in the key; it needs the extra cloud. The clip is checked whole here,
then uploaded. Keys and region are those of the store's own tools.

Examples:
  airvid create "fox in snow" -n 4 -o 'takes/{slug}-{n}.mp4'
  airvid download --all -o 'clips/{date}/{model}-{short_id}.mp4'
  airvid download --all -o 's3://my-bucket/{date}/{slug}-{short_id}.mp4'
""",
    "json": f"""\
JSON

With --json, results are JSON on standard output and errors are JSON on standard
error. models and list print one array; other commands print one object a line,
indented on a terminal. A later version may add keys; it renames and removes
none.

Tasks: create, status, watch, download, batch, list

{_TASK_KEYS}

create prints a new task, with --wait an ended one; watch prints every change;
download prints saved ones. list --ids prints an array of strings. batch prints
an ended one with airvid.row (the row's id) and airvid.n (which of its clips);
results.jsonl has the same objects, with output relative to its folder.

create --dry-run
  request           object        the body that would be sent
  airvid.count      integer       how often
  airvid.seconds    number, null  of all of them
  airvid.estimate_cents
                    number, null  for all of them
  airvid.files      array         the first three, or the template

batch --dry-run
  plan              object        rows, clips, seconds, cost_usd; the same by
                                  model in models, of what is to pay in left;
                                  how many are done, running, unknown, failed

models
  Each model as the API lists it, plus one key, airvid:
  airvid.clip.seconds
                    number, null  --duration, else the model's minimum
  airvid.clip.cost_usd
                    number, null  what such a clip is estimated to cost
  airvid.healthy    boolean

Other commands

  preview           file (null for a clip that is not kept), frames, seconds,
                    width and height (pixels), codec, size (bytes)
  join              path, seconds, clips (how many), reencoded, bytes
  gallery           path, clips (how many), failed (how many), bytes
  delete            task_id, deleted (true, also for a task that was gone)
  auth login        key (masked), path (of the file that holds it)
  auth logout       removed, path
  auth status       source (a variable, a file, or sandbox), key (masked),
                    base_url, and accepted (null: not asked, or no answer); in
                    the sandbox key is null, the last two are missing
  config list, get  name, value, source (a variable, or the config file)
  config set        name, value
  config unset      name, removed
  config path       path
  doctor            check, state (ok, note or wrong), message, hint (or null),
                    exit_code
  sandbox           base_url, api_key
  sandbox reset     path, reset
  sandbox faults    fault, does, example, where (array), default (how often)

accepted, deleted, removed, reset and reencoded are booleans; seconds is a
number; frames, width, height, size, clips, failed, bytes and exit_code are
integers; value is a string, number or boolean; the others are strings.
frames and seconds may be null.

Errors: an object a line on standard error; all else there is {{"note": "…"}}
  error.code        string        a name from airvid help exit-codes
  error.message     string
  error.hint        string, null  the command that helps
  error.exit_code   integer
  error.request_id  string        where the server gave one
  error.task_id     string        where it is about one task
  error.candidates  array         ids of tasks that the POST may have made
""",
}
SUMMARIES = {
    "exit-codes": "What each exit code means.",
    "environment": "The variables that airvid reads.",
    "templates": "File names with {fields}.",
    "json": "Every key of --json, and its type.",
}


def page(words: Sequence[str]) -> str | None:
    """The text on a topic; None where there is none of that name."""
    return TOPICS.get(words[0]) if len(words) == 1 else None
