# Completion of airvid for fish 3.4 and later.
# What is not in its table, `airvid __complete` knows, never from the network.

# Generated from the commands; airvid/commands/completion.py tells how to read it.
function __airvid_table --no-scope-shadowing
set commands
set options
set arguments
switch $argv[1]
case ''
set -a commands 'models' 'The video models: what each can do, and what a clip costs'
set -a commands 'create' 'Submit a clip; with --wait follow it, with -o save it'
set -a commands 'status' 'How tasks stand, each read once'
set -a commands 'watch' 'Follow tasks live until they end'
set -a commands 'list' 'Recent tasks, newest first'
set -a commands 'delete' 'Remove history entries'
set -a commands 'download' 'Save results'
set -a commands 'preview' 'Show a clip\'s contact sheet in the terminal'
set -a commands 'sandbox' 'The API, emulated on this machine'
set -a commands 'help' 'Exit codes, environment, templates, JSON'
set -a commands 'auth' 'The API key: login, logout, status'
set -a commands 'config' 'The other settings: list, get, set, unset, path'
set -a options '--version' 'Show the version and exit.'
set -a options '--install-completion =bash|zsh|fish|powershell' 'Make TAB complete in bash, zsh, fish or powershell.'
set -a options '--show-completion =bash|zsh|fish|powershell' 'Print the script for that instead.'
case 'models'
set -a options '--mode =@modes|text|image|reference' 'text, image or reference.'
set -a options '-a --aspect-ratio =@aspect-ratios' '16:9, 9:16, 1:1, …'
set -a options '--quality =@qualities' '480p, 720p, 1080p, …'
set -a options '-d --duration =@durations' 'The clip\'s length.'
set -a options '--max-price =' 'The most that a clip may cost: of --duration, else of the model\'s minimum.'
set -a options '--sort =price|name' 'The order.'
set -a arguments '=@models +'
case 'create'
set -a options '--prompt-file =/' 'Read the prompt from a file.'
set -a options '-m --model =@models' 'The model; without one, the cheapest healthy one that fits.'
set -a options '-d --duration =@durations' 'The clip\'s length.'
set -a options '-a --aspect-ratio =@aspect-ratios' '16:9, 9:16, 1:1, …'
set -a options '--quality =@qualities' '480p, 720p, 1080p, …'
set -a options '--mode =@modes|text|image|reference' 'text, image or reference.'
set -a options '-i --image =/' 'The first frame.'
set -a options '-r --reference =/ +' 'A picture to take the style from; repeatable.'
set -a options '--seed =' 'The same seed makes the same clip again.'
set -a options '--sound --no-sound' 'With or without sound.'
set -a options '--set = +' 'More for the model: JSON where it parses, else text; repeatable.'
set -a options '-n --count =' 'How many variations to make.'
set -a options '--max-cost =' 'Send nothing if the estimate is more than this.'
set -a options '--dry-run' 'Show the request and the estimate; send nothing.'
set -a options '--no-validate' 'Let the server judge what the model can do.'
set -a options '-w --wait --no-wait' 'Follow the task to its end.'
set -a options '-o --output =/' 'A file, a directory, - for stdout, or a template (airvid help templates).'
set -a options '--timeout =' 'Stop waiting after so long (90, 10m, 1h); the task itself goes on.'
set -a options '--force' 'Overwrite existing files.'
set -a options '--open' 'Open the saved clip in the desktop\'s player.'
set -a options '--preview' 'Show its contact sheet in the terminal; implies -w.'
set -a arguments '='
case 'status'
set -a options '--exit-status' 'Answer for the task: 0 completed, 5 failed, 6 expired, 10 still running.'
set -a arguments '=@tasks +'
case 'watch'
set -a options '-o --output =/' 'A file, a directory, - for stdout, or a template (airvid help templates).'
set -a options '--timeout =' 'Stop waiting after so long (90, 10m, 1h); the task itself goes on.'
set -a options '--fail-fast' 'Stop following at the first failure.'
set -a options '--force' 'Overwrite existing files.'
set -a options '--open' 'Open the saved clip in the desktop\'s player.'
set -a arguments '=@tasks +'
case 'list'
set -a options '--status =queued|processing|completed|failed|expired +' 'Only those of this status; repeatable.'
set -a options '-m --model =@models' 'Only this model\'s.'
set -a options '--since =' '30m, 2h, 3d, 2026-11-20 (local time).'
set -a options '-L --limit =' 'How many at the most.'
set -a options '--page =' 'Which page of them; 1 is the newest.'
set -a options '--ids' 'Only the ids.'
set -a options '--local' 'This machine\'s journal: it outlives the API\'s 24 hours and knows prompts, files and cost.'
set -a options '--search =' 'With --local: in the prompts.'
case 'delete'
set -a options '--all' 'All that the API lists.'
set -a options '--status =queued|processing|completed|failed|expired +' 'Only those of this status; repeatable.'
set -a options '--older-than =' 'Only those older than this: 90, 10m, 2h, 3d.'
set -a options '-y --yes' 'Do not ask.'
set -a arguments '=@tasks +'
case 'download'
set -a options '-o --output =/' 'A file, a directory, - for stdout, or a template (airvid help templates).'
set -a options '--force' 'Overwrite existing files.'
set -a options '--skip-existing' 'Pass over files that are there.'
set -a options '--all' 'Every completed task not yet saved.'
set -a options '-j --jobs =' 'How many at a time.'
set -a options '--open' 'Open the saved clip in the desktop\'s player.'
set -a arguments '=@tasks +'
case 'preview'
set -a options '--open' 'In the desktop\'s player instead.'
set -a arguments '=/|@tasks'
case 'sandbox'
set -a options '--port =' 'The port; 0 takes a free one.'
case 'help'
set -a arguments '=exit-codes|environment|templates|json +'
case 'auth'
set -a commands 'login' 'Store the API key: typed unseen, or read from standard input'
set -a commands 'logout' 'Remove the stored key'
set -a commands 'status' 'Where the key comes from'
case 'auth login'
set -a options '--no-verify' 'Store the key without asking the API.'
case 'config'
set -a commands 'list' 'All that is set, and where it comes from'
set -a commands 'get' 'One setting\'s value'
set -a commands 'set' 'Set one setting'
set -a commands 'unset' 'Go back to the default'
set -a commands 'path' 'Where the config file is'
case 'config get'
set -a arguments '=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month'
case 'config set'
set -a arguments '=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month'
set -a arguments '=%'
case 'config unset'
set -a arguments '=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month'
end
set -a options '--json' 'Print JSON: an object a line, or one array.'
set -a options '-q --quiet' 'Say nothing but results and errors.'
set -a options '--debug' 'Trace requests and answers, secrets left out.'
set -a options '--sandbox' 'Use an emulator of the API: no key, no money.'
set -a options '--base-url =' 'The API\'s base URL.'
set -a options '--no-color' 'No colours. NO_COLOR does the same.'
set -a options '-h --help' 'Show this message and exit.'
end

# The option of this name into `option`, and its other names into `given`.
function __airvid_option --no-scope-shadowing
    set option ''
    for at in (seq 1 2 (count $options))
        set -l names (string split ' ' -- (string replace -r ' =.*' '' -- $options[$at]))
        if contains -- $argv[1] $names
            set option $options[$at]
            set -a given $names
            break
        end
    end
end

# Offer what a value may be, as options and arguments say it in `$argv[1]`; `$lead` stands before it in the same word.
function __airvid_values --no-scope-shadowing
    for value in (string split --no-empty '|' -- (string replace -r ' \+$' '' -- $argv[1]))
        switch $value
            case '%'
                __airvid_table create
                __airvid_option --$before
                string match -q -- '* =*' $option; or set option (string replace -r '.+' '=true|false' -- $option)
                __airvid_values (string replace -r '.*=' '' -- $option)
            case /
                set -l paths (__fish_complete_path (string sub -s (math (string length -- $lead) + 1) -- $current))
                set -q paths[1]; and printf '%s\n' $lead$paths
            case '@*'
                # Modes are the same for all models, as long as none is named.
                if test $value != @modes; or contains -- --model $given
                    set -l program airvid
                    string match -q '*/*' -- $typed[1]; and set program (string replace -r '^~/' $HOME/ -- $typed[1])
                    set -l part (string sub -s (math (string length -- $lead) + 1) -- $current)
                    set -l found (command $program __complete (string sub -s 2 -- $value)=$part $typed 2>/dev/null)
                    set -q found[1]; or continue
                    printf '%s\n' $lead$found
                    test $value = @modes; and break
                end
            case '*'
                printf '%s\n' $lead$value
        end
    end
end

# What may stand at the cursor: a candidate a line, then a tab and what it is.
function __airvid
    set -l typed (commandline -opc)
    set -l current (string replace -ar '[\'"\\\\]' '' -- (commandline -ct))
    set -l commands
    set -l options
    set -l arguments
    set -l given
    set -l command
    set -l option
    set -l awaited
    set -l ended
    set -l before
    set -l lead ''
    set -l place 1
    __airvid_table ''
    for word in $typed[2..]
        if set -q awaited[1]
            set awaited
        else if test "$word" = --; and not set -q ended[1]
            set ended 1
        else if string match -q -- '--*' $word; and not set -q ended[1]
            __airvid_option (string replace -r '=.*' '' -- $word)
            if string match -q -- '* =*' $option; and not string match -q -- '*=*' $word
                set awaited 1
            end
        else if string match -qr -- '^-.' $word; and not set -q ended[1]
            set -l letters (string split '' -- $word)
            for at in (seq 2 (count $letters))
                __airvid_option -$letters[$at]
                string match -q -- '* =*' $option; or continue
                test $at -lt (count $letters); or set awaited 1
                break
            end
        else if contains -- "$word" $commands
            set -a command $word
            __airvid_table "$command"
        else
            set place (math $place + 1)
            set before $word
        end
    end
    if set -q awaited[1]
        __airvid_values (string replace -r '^.* =' '' -- $option)
    else if string match -q -- '--*=*' $current; and not set -q ended[1]
        __airvid_option (string replace -r '=.*' '' -- $current)
        set lead (string replace -r '=.*' '=' -- $current)
        string match -q -- '* =*' $option; and __airvid_values (string replace -r '^.* =' '' -- $option)
    else if string match -q -- '-*' $current; and not set -q ended[1]
        for at in (seq 1 2 (count $options))
            for name in (string split ' ' -- (string replace -r ' =.*' '' -- $options[$at]))
                if not contains -- $name $given; or string match -q -- '* +' $options[$at]
                    printf '%s\t%s\n' $name $options[(math $at + 1)]
                end
            end
        end
    else if set -q commands[1]; and test $place = 1
        for at in (seq 1 2 (count $commands))
            printf '%s\t%s\n' $commands[$at] $commands[(math $at + 1)]
        end
    else if set -q arguments[$place]
        __airvid_values (string sub -s 2 -- $arguments[$place])
    else if set -q arguments[1]; and string match -q -- '* +' $arguments[-1]
        __airvid_values (string sub -s 2 -- $arguments[-1])
    end
end

complete -c airvid -f -k -a '(__airvid)'
