# Completion of airvid for fish 3.4 and later.
# What is not in its table, `airvid __complete` knows, never from the network.

# {table}

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
