"""Written by `pytest --update-golden` from cli.py: the help of every command at 80 columns."""

PAGES = {
    (): """\
Usage: airvid [OPTIONS] COMMAND [ARGS]...

  Generate video from the terminal, and never pay for a clip twice.

Commands:
  models    The video models: what each can do, and what a clip costs.
  create    Submit a clip; with --wait follow it, with -o save it.
  status    How tasks stand, each read once.
  watch     Follow tasks live until they end.
  list      Recent tasks, newest first.
  delete    Remove history entries.
  download  Save results.
  preview   Show a clip's contact sheet in the terminal.
  sandbox   The API, emulated on this machine.
  help      Exit codes, environment, templates, JSON.
  auth      The API key: login, logout, status.
  config    The other settings: list, get, set, unset, path.

Options:
  --version                     Show the version and exit.
  --install-completion [SHELL]  Make TAB complete in bash, zsh, fish or
                                powershell.
  --show-completion [SHELL]     Print the script for that instead.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid --sandbox create "fox in snow" -d 8 -o fox.mp4   # costs nothing
  airvid create "fox in snow" -d 8 --dry-run              # what it would cost
""",
    ("models",): """\
Usage: airvid models [OPTIONS] [MODEL...]

  The video models: what each can do, and what a clip costs.

Arguments:
  MODEL...  Show these in full.

Options:
  --sort price|name  The order.  [default: price]

Request:
  --mode MODE             text, image or reference.
  -a, --aspect-ratio W:H  16:9, 9:16, 1:1, …
  --quality QUALITY       480p, 720p, 1080p, …
  -d, --duration SECONDS  The clip's length.

Money:
  --max-price USD  The most that a clip may cost: of --duration, else of the
                   model's minimum.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid models --duration 8    # what there is, and what 8 s cost
  airvid models wan-2.6 --json

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 4 not found, 8 limited, 9 unavailable,
  11 file
""",
    ("create",): """\
Usage: airvid create [OPTIONS] [PROMPT]

  Submit a clip; with --wait follow it, with -o save it.

Arguments:
  PROMPT  What to show; - reads standard input.

Request:
  --prompt-file FILE        Read the prompt from a file.
  -m, --model MODEL         The model; without one, the cheapest healthy one
                            that fits.
  -d, --duration SECONDS    The clip's length.
  -a, --aspect-ratio W:H    16:9, 9:16, 1:1, …
  --quality QUALITY         480p, 720p, 1080p, …
  --mode MODE               text, image or reference.
  -i, --image PATH|URL      The first frame.
  -r, --reference PATH|URL  A picture to take the style from; repeatable.
  --seed NUMBER             The same seed makes the same clip again.
  --sound / --no-sound      With or without sound.
  --set KEY=VALUE           More for the model: JSON where it parses, else
                            text; repeatable.
  -n, --count NUMBER        How many variations to make.

Money:
  --max-cost USD  Send nothing if the estimate is more than this.
  --dry-run       Show the request and the estimate; send nothing.
  --no-validate   Let the server judge what the model can do.

Waiting and saving:
  -w, --wait / --no-wait  Follow the task to its end.
  -o, --output PATH       A file, a directory, - for stdout, or a template
                          (airvid help templates).
  --timeout TIME          Stop waiting after so long (90, 10m, 1h); the task
                          itself goes on.
  --force                 Overwrite existing files.
  --open                  Open the saved clip in the desktop's player.
  --preview               Show its contact sheet in the terminal; implies -w.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid create "fox in snow" --duration 8 -o fox.mp4
  airvid create "it begins to snow" -i fox.png --max-cost 1 --wait

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 5 task failed, 6 expired, 7 payment,
  8 limited, 9 unavailable, 10 timeout, 11 file
""",
    ("status",): """\
Usage: airvid status [OPTIONS] [ID...]

  How tasks stand, each read once.

Arguments:
  ID...  Task ids, unique prefixes of 4 characters or more, `last`, or - to
         read them from stdin.

Options:
  --exit-status  Answer for the task: 0 completed, 5 failed, 6 expired, 10
                 still running.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid status last
  airvid status last --exit-status --json

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 4 not found, 5 task failed, 6 expired,
  8 limited, 9 unavailable, 10 timeout, 11 file
""",
    ("watch",): """\
Usage: airvid watch [OPTIONS] [ID...]

  Follow tasks live until they end. Without an ID, all that are running.

Arguments:
  ID...  Task ids, unique prefixes of 4 characters or more, `last`, or - to
         read them from stdin.

Waiting and saving:
  -o, --output PATH  A file, a directory, - for stdout, or a template (airvid
                     help templates).
  --timeout TIME     Stop waiting after so long (90, 10m, 1h); the task itself
                     goes on.
  --fail-fast        Stop following at the first failure.
  --force            Overwrite existing files.
  --open             Open the saved clip in the desktop's player.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid watch                   # all that are running
  airvid watch last -o fox.mp4

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 4 not found, 5 task failed, 6 expired,
  8 limited, 9 unavailable, 10 timeout, 11 file
""",
    ("list",): """\
Usage: airvid list [OPTIONS]

  Recent tasks, newest first.

Options:
  --status STATUS     Only those of this status; repeatable.
  -m, --model MODEL   Only this model's.
  --since WHEN        30m, 2h, 3d, 2026-11-20 (local time).
  -L, --limit NUMBER  How many at the most.  [default: 30]
  --page NUMBER       Which page of them; 1 is the newest.  [default: 1]
  --ids               Only the ids.
  --local             This machine's journal: it outlives the API's 24 hours
                      and knows prompts, files and cost.
  --search TEXT       With --local: in the prompts.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid list --status completed --since 2h
  airvid list --local --search fox

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 8 limited, 9 unavailable, 11 file
""",
    ("delete",): """\
Usage: airvid delete [OPTIONS] [ID...]

  Remove history entries. Stored media and running jobs are not touched.

Arguments:
  ID...  Task ids, unique prefixes of 4 characters or more, `last`, or - to
         read them from stdin.

Options:
  --all              All that the API lists.
  --status STATUS    Only those of this status; repeatable.
  --older-than TIME  Only those older than this: 90, 10m, 2h, 3d.
  -y, --yes          Do not ask.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid delete last -y
  airvid delete --status failed --older-than 2h -y

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 4 not found, 8 limited, 9 unavailable,
  11 file
""",
    ("download",): """\
Usage: airvid download [OPTIONS] [ID...]

  Save results.

Arguments:
  ID...  Task ids, unique prefixes of 4 characters or more, `last`, or - to
         read them from stdin.

Options:
  --all  Every completed task not yet saved.

Waiting and saving:
  -o, --output PATH  A file, a directory, - for stdout, or a template (airvid
                     help templates).
  --force            Overwrite existing files.
  --skip-existing    Pass over files that are there.
  -j, --jobs NUMBER  How many at a time.
  --open             Open the saved clip in the desktop's player.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid download last -o fox.mp4
  airvid download --all -o clips/ --jobs 8

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 4 not found, 5 task failed, 6 expired,
  8 limited, 9 unavailable, 10 timeout, 11 file
""",
    ("preview",): """\
Usage: airvid preview [OPTIONS] {FILE|ID}

  Show a clip's contact sheet in the terminal.

Arguments:
  FILE|ID  A clip's file, a task id, a unique prefix of one, or `last`.
           [required]

Options:
  --open  In the desktop's player instead.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid preview fox.mp4
  airvid preview last --json    # its frames, seconds and size

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 4 not found, 5 task failed, 6 expired,
  8 limited, 9 unavailable, 10 timeout, 11 file
""",
    ("sandbox",): """\
Usage: airvid sandbox [OPTIONS] [ACTION]

  The API, emulated on this machine.

  For scripts and tests that must not spend money; prints what to export.

Arguments:
  ACTION  reset: forget all its tasks and clips.

Options:
  --port NUMBER  The port; 0 takes a free one.  [default: 0; 0<=x<=65535]

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid sandbox --port 8080
  airvid sandbox reset    # forget its tasks and clips

Exit codes:
  0 done, 2 usage, 11 file, 130 interrupted, 143 terminated
""",
    ("help",): """\
Usage: airvid help [OPTIONS] [TOPIC]

  Exit codes, environment, templates, JSON.

Arguments:
  TOPIC  exit-codes, environment, templates, json, or a command.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid help exit-codes
  airvid help auth login

Exit codes:
  0 done, 2 usage
""",
    ("auth",): """\
Usage: airvid auth [OPTIONS] COMMAND [ARGS]...

  The API key: login, logout, status.

Commands:
  login   Store the API key: typed unseen, or read from standard input.
  logout  Remove the stored key.
  status  Where the key comes from.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid auth login
  airvid auth status
""",
    ("auth", "login"): """\
Usage: airvid auth login [OPTIONS]

  Store the API key: typed unseen, or read from standard input.

Options:
  --no-verify  Store the key without asking the API.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid auth login                  # asks for the key, unseen
  airvid auth login < key.txt

Exit codes:
  0 done, 1 failure, 2 usage, 3 key, 8 limited, 9 unavailable, 11 file
""",
    ("auth", "logout"): """\
Usage: airvid auth logout [OPTIONS]

  Remove the stored key.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid auth logout
  airvid auth logout --json

Exit codes:
  0 done, 11 file
""",
    ("auth", "status"): """\
Usage: airvid auth status [OPTIONS]

  Where the key comes from.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid auth status
  airvid auth status --json

Exit codes:
  0 done, 3 key, 11 file
""",
    ("config",): """\
Usage: airvid config [OPTIONS] COMMAND [ARGS]...

  The other settings: list, get, set, unset, path.

Commands:
  list   All that is set, and where it comes from.
  get    One setting's value.
  set    Set one setting.
  unset  Go back to the default.
  path   Where the config file is.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid config set model wan-2.6
  airvid config list
""",
    ("config", "list"): """\
Usage: airvid config list [OPTIONS]

  All that is set, and where it comes from.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid config list
  airvid config list --json

Exit codes:
  0 done, 2 usage, 11 file
""",
    ("config", "get"): """\
Usage: airvid config get [OPTIONS] {KEY}

  One setting's value.

Arguments:
  KEY  The setting: an option's long name.  [required]

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid config get model
  airvid config get model --json

Exit codes:
  0 done, 2 usage, 4 not found, 11 file
""",
    ("config", "set"): """\
Usage: airvid config set [OPTIONS] {KEY} {VALUE}

  Set one setting.

Arguments:
  KEY    The setting: an option's long name.  [required]
  VALUE  Its value.  [required]

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid config set model wan-2.6
  airvid config set budget.day 20    # US dollars; more is not sent

Exit codes:
  0 done, 2 usage, 11 file
""",
    ("config", "unset"): """\
Usage: airvid config unset [OPTIONS] {KEY}

  Go back to the default.

Arguments:
  KEY  The setting: an option's long name.  [required]

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid config unset model
  airvid config unset budget.day

Exit codes:
  0 done, 2 usage, 11 file
""",
    ("config", "path"): """\
Usage: airvid config path [OPTIONS]

  Where the config file is.

Common:
  --json          Print JSON: an object a line, or one array.
  -q, --quiet     Say nothing but results and errors.
  --debug         Trace requests and answers, secrets left out.
  --sandbox       Use an emulator of the API: no key, no money.
  --base-url URL  The API's base URL.
  --no-color      No colours. NO_COLOR does the same.
  -h, --help      Show this message and exit.

Examples:
  airvid config path
  cat "$(airvid config path)"

Exit codes:
  0 done, 11 file
""",
}
