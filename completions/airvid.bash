# Completion of airvid for bash 3.2 and later, with or without the package bash-completion.
# What is not in its table, `airvid __complete` knows, never from the network.

# Generated from the commands; airvid/commands/completion.py tells how to read it.
__airvid_table() {
commands=() options=() arguments=()
case $1 in
'')
commands=(
'models'
'create'
'status'
'watch'
'list'
'delete'
'download'
'preview'
'sandbox'
'help'
'auth'
'config'
)
options=(
'--version'
'--install-completion =bash|zsh|fish|powershell'
'--show-completion =bash|zsh|fish|powershell'
)
;;
'models')
options=(
'--mode =@modes|text|image|reference'
'-a --aspect-ratio =@aspect-ratios'
'--quality =@qualities'
'-d --duration =@durations'
'--max-price ='
'--sort =price|name'
)
arguments=(
'=@models +'
)
;;
'create')
options=(
'--prompt-file =/'
'-m --model =@models'
'-d --duration =@durations'
'-a --aspect-ratio =@aspect-ratios'
'--quality =@qualities'
'--mode =@modes|text|image|reference'
'-i --image =/'
'-r --reference =/ +'
'--seed ='
'--sound --no-sound'
'--set = +'
'-n --count ='
'--max-cost ='
'--dry-run'
'--no-validate'
'-w --wait --no-wait'
'-o --output =/'
'--timeout ='
'--force'
'--open'
'--preview'
)
arguments=(
'='
)
;;
'status')
options=(
'--exit-status'
)
arguments=(
'=@tasks +'
)
;;
'watch')
options=(
'-o --output =/'
'--timeout ='
'--fail-fast'
'--force'
'--open'
)
arguments=(
'=@tasks +'
)
;;
'list')
options=(
'--status =queued|processing|completed|failed|expired +'
'-m --model =@models'
'--since ='
'-L --limit ='
'--page ='
'--ids'
'--local'
'--search ='
)
;;
'delete')
options=(
'--all'
'--status =queued|processing|completed|failed|expired +'
'--older-than ='
'-y --yes'
)
arguments=(
'=@tasks +'
)
;;
'download')
options=(
'-o --output =/'
'--force'
'--skip-existing'
'--all'
'-j --jobs ='
'--open'
)
arguments=(
'=@tasks +'
)
;;
'preview')
options=(
'--open'
)
arguments=(
'=/|@tasks'
)
;;
'sandbox')
options=(
'--port ='
)
;;
'help')
arguments=(
'=exit-codes|environment|templates|json +'
)
;;
'auth')
commands=(
'login'
'logout'
'status'
)
;;
'auth login')
options=(
'--no-verify'
)
;;
'config')
commands=(
'list'
'get'
'set'
'unset'
'path'
)
;;
'config get')
arguments=(
'=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month'
)
;;
'config set')
arguments=(
'=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month'
'=%'
)
;;
'config unset')
arguments=(
'=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month'
)
;;
esac
options+=(
'--json'
'-q --quiet'
'--debug'
'--sandbox'
'--base-url ='
'--no-color'
'-h --help'
)
}

# The words before the cursor into `words`, the one under it into `current`, without quoting: `=` and `:`, at which bash
# takes words apart, put them together again. `replaced` is the part of `current` that bash leaves as it is.
__airvid_words() {
    local rest=${COMP_LINE:0:COMP_POINT} gap piece breaks='' head i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        gap=${rest%%[![:space:]]*}
        rest=${rest#"$gap"}
        piece=${COMP_WORDS[i]}
        ((i == COMP_CWORD)) && piece=$rest
        if [[ $i -eq 0 || $gap ]]; then
            words+=("$piece")
        else
            words[${#words[@]} - 1]+=$piece
        fi
        rest=${rest#"$piece"}
    done
    current=${words[${#words[@]} - 1]}
    [[ $current == *[\"\']* ]] && quoted=1
    head=${current%%[\"\']*}
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+='='
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=':'
    [[ $breaks ]] && replaced=${head%"${head##*[$breaks]}"}
    unset "words[${#words[@]} - 1]"
    for ((i = 0; i < ${#words[@]}; i++)); do
        words[i]=${words[i]//[\"\'\\]/}
    done
    current=${current//[\"\'\\]/}
}

# The option of this name into `option`, and its other names into `given`.
__airvid_option() {
    for option in "${options[@]}"; do
        if [[ " ${option%% =*} " == *" $1 "* ]]; then
            given+="${option%% =*} "
            return
        fi
    done
    option=''
}

# Read `words`: which command it is, which options are given, how many arguments, and whether an option awaits its value.
__airvid_read() {
    local word ended='' letters i
    __airvid_table ''
    for ((i = 1; i < ${#words[@]}; i++)); do
        word=${words[i]}
        if [[ $awaited ]]; then
            awaited=''
        elif [[ $word == -- && ! $ended ]]; then
            ended=1
        elif [[ $word == --* && ! $ended ]]; then
            __airvid_option "${word%%=*}"
            [[ $option == *' ='* && $word != *=* ]] && awaited=1
        elif [[ $word == -?* && ! $ended ]]; then
            for ((letters = 1; letters < ${#word}; letters++)); do
                __airvid_option "-${word:letters:1}"
                [[ $option == *' ='* ]] || continue
                ((letters + 1 < ${#word})) || awaited=1
                break
            done
        elif [[ ${#commands[@]} -gt 0 && " ${commands[*]} " == *" $word "* ]]; then
            command="${command:+$command }$word"
            __airvid_table "$command"
        else
            ((place += 1))
            before=$word
        fi
    done
    no_more_options=$ended
}

# Offer `$1` if it goes on from what is typed, with `$2` said beside it.
__airvid_offer() {
    [[ $1 == "$current"* ]] || return
    # Within quotes, what would end them or be expanded in them cannot be written.
    [[ $quoted && $1 == *[\"\'\`\$\\!]* ]] && return
    found+=("${1:${#replaced}}")
    about+=("$2")
}

# Offer what a value may be, as options and arguments say it in `$1`; `$2` is what stands before it in the same word.
__airvid_values() {
    local value each says program=airvid IFS='|'
    for value in $1; do
        case $value in
        %)
            __airvid_table create
            __airvid_option "--$before"
            [[ -z $option || $option == *=* ]] || option='=true|false'
            __airvid_values "${option#*=}" "$2"
            ;;
        /)
            compopt -o filenames 2>/dev/null
            is_file=1
            while IFS= read -r each; do
                __airvid_offer "$2$each" ''
            done < <(compgen -f -- "${current#"$2"}")
            ;;
        @*)
            # Modes are the same for all models, as long as none is named.
            [[ $value == @modes && $given != *' --model '* ]] && continue
            [[ ${words[0]} == */* ]] && program=${words[0]/#~\//$HOME/}
            while IFS=$'\t' read -r each says; do
                __airvid_offer "$2$each" "$says"
            done < <(command "$program" __complete "${value#@}=${current#"$2"}" "${words[@]}" 2>/dev/null)
            [[ ${#found[@]} -gt 0 && $value == @modes ]] && return
            ;;
        *) __airvid_offer "$2$value" '' ;;
        esac
    done
}

# What was found, for bash to insert: quoted, and with what is known of each beside it where several are to be listed.
__airvid_reply() {
    local text i room several=''
    # 37 and 42 are the bindings that insert candidates as they stand.
    [[ ${#found[@]} -gt 1 && ! $is_file && $COMP_TYPE != 37 && $COMP_TYPE != 42 ]] && several=1
    for ((i = 0; i < ${#found[@]}; i++)); do
        text=${found[i]}
        [[ $quoted || $is_file ]] || printf -v text %q "$text"
        room=$((${COLUMNS:-80} - ${#text} - 4))
        [[ $several && ${about[i]} && $room -gt 8 ]] && text="$text  (${about[i]:0:room})"
        COMPREPLY+=("$text")
    done
}

_airvid() {
    local IFS=$' \t\n' current='' replaced='' quoted='' command='' before='' given=' ' option='' awaited='' is_file=''
    local no_more_options='' place=0 each name
    local -a words=() commands=() options=() arguments=() found=() about=()
    COMPREPLY=()
    __airvid_words
    __airvid_read
    compopt -o nosort 2>/dev/null
    if [[ $awaited ]]; then
        option=${option#* =}
        __airvid_values "${option% +}" ''
    elif [[ $current == --*=* && ! $no_more_options ]]; then
        __airvid_option "${current%%=*}"
        [[ $option == *' ='* ]] && option=${option#* =} && __airvid_values "${option% +}" "${current%%=*}="
    elif [[ $current == -* && ! $no_more_options ]]; then
        for each in "${options[@]}"; do
            for name in ${each%% =*}; do
                [[ $given == *" $name "* && $each != *' +' ]] || __airvid_offer "$name" ''
            done
        done
    elif [[ ${#commands[@]} -gt 0 && $place -eq 0 ]]; then
        for each in "${commands[@]}"; do
            __airvid_offer "$each" ''
        done
    elif [[ ${#arguments[@]} -gt 0 ]]; then
        each=${arguments[${#arguments[@]} - 1]}
        if ((place < ${#arguments[@]})); then
            each=${arguments[place]}
        elif [[ $each != *' +' ]]; then
            each='='
        fi
        each=${each#=}
        __airvid_values "${each% +}" ''
    fi
    __airvid_reply
}

complete -F _airvid airvid
