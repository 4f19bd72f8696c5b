# Completion of airvid for PowerShell 5.1 and later.
# What is not in its table, `airvid __complete` knows, never from the network.

Register-ArgumentCompleter -Native -CommandName airvid -ScriptBlock {
param($wordToComplete, $commandAst, $cursorPosition)

# Generated from the commands; airvid/commands/completion.py tells how to read it.
$table = @{
'' = @{
Commands = @(
'models', 'The video models: what each can do, and what a clip costs',
'create', 'Submit a clip; with --wait follow it, with -o save it',
'status', 'How tasks stand, each read once',
'watch', 'Follow tasks live until they end',
'list', 'Recent tasks, newest first',
'delete', 'Remove history entries',
'download', 'Save results',
'preview', 'Show a clip''s contact sheet in the terminal',
'sandbox', 'The API, emulated on this machine',
'help', 'Exit codes, environment, templates, JSON',
'auth', 'The API key: login, logout, status',
'config', 'The other settings: list, get, set, unset, path'
)
Options = @(
'--version', 'Show the version and exit.',
'--install-completion =bash|zsh|fish|powershell', 'Make TAB complete in bash, zsh, fish or powershell.',
'--show-completion =bash|zsh|fish|powershell', 'Print the script for that instead.'
)
Arguments = @()
}
'models' = @{
Commands = @()
Options = @(
'--mode =@modes|text|image|reference', 'text, image or reference.',
'-a --aspect-ratio =@aspect-ratios', '16:9, 9:16, 1:1, …',
'--quality =@qualities', '480p, 720p, 1080p, …',
'-d --duration =@durations', 'The clip''s length.',
'--max-price =', 'The most that a clip may cost: of --duration, else of the model''s minimum.',
'--sort =price|name', 'The order.'
)
Arguments = @('=@models +')
}
'create' = @{
Commands = @()
Options = @(
'--prompt-file =/', 'Read the prompt from a file.',
'-m --model =@models', 'The model; without one, the cheapest healthy one that fits.',
'-d --duration =@durations', 'The clip''s length.',
'-a --aspect-ratio =@aspect-ratios', '16:9, 9:16, 1:1, …',
'--quality =@qualities', '480p, 720p, 1080p, …',
'--mode =@modes|text|image|reference', 'text, image or reference.',
'-i --image =/', 'The first frame.',
'-r --reference =/ +', 'A picture to take the style from; repeatable.',
'--seed =', 'The same seed makes the same clip again.',
'--sound --no-sound', 'With or without sound.',
'--set = +', 'More for the model: JSON where it parses, else text; repeatable.',
'-n --count =', 'How many variations to make.',
'--max-cost =', 'Send nothing if the estimate is more than this.',
'--dry-run', 'Show the request and the estimate; send nothing.',
'--no-validate', 'Let the server judge what the model can do.',
'-w --wait --no-wait', 'Follow the task to its end.',
'-o --output =/', 'A file, a directory, - for stdout, or a template (airvid help templates).',
'--timeout =', 'Stop waiting after so long (90, 10m, 1h); the task itself goes on.',
'--force', 'Overwrite existing files.',
'--open', 'Open the saved clip in the desktop''s player.',
'--preview', 'Show its contact sheet in the terminal; implies -w.'
)
Arguments = @('=')
}
'status' = @{
Commands = @()
Options = @(
'--exit-status', 'Answer for the task: 0 completed, 5 failed, 6 expired, 10 still running.'
)
Arguments = @('=@tasks +')
}
'watch' = @{
Commands = @()
Options = @(
'-o --output =/', 'A file, a directory, - for stdout, or a template (airvid help templates).',
'--timeout =', 'Stop waiting after so long (90, 10m, 1h); the task itself goes on.',
'--fail-fast', 'Stop following at the first failure.',
'--force', 'Overwrite existing files.',
'--open', 'Open the saved clip in the desktop''s player.'
)
Arguments = @('=@tasks +')
}
'list' = @{
Commands = @()
Options = @(
'--status =queued|processing|completed|failed|expired +', 'Only those of this status; repeatable.',
'-m --model =@models', 'Only this model''s.',
'--since =', '30m, 2h, 3d, 2026-11-20 (local time).',
'-L --limit =', 'How many at the most.',
'--page =', 'Which page of them; 1 is the newest.',
'--ids', 'Only the ids.',
'--local', 'This machine''s journal: it outlives the API''s 24 hours and knows prompts, files and cost.',
'--search =', 'With --local: in the prompts.'
)
Arguments = @()
}
'delete' = @{
Commands = @()
Options = @(
'--all', 'All that the API lists.',
'--status =queued|processing|completed|failed|expired +', 'Only those of this status; repeatable.',
'--older-than =', 'Only those older than this: 90, 10m, 2h, 3d.',
'-y --yes', 'Do not ask.'
)
Arguments = @('=@tasks +')
}
'download' = @{
Commands = @()
Options = @(
'-o --output =/', 'A file, a directory, - for stdout, or a template (airvid help templates).',
'--force', 'Overwrite existing files.',
'--skip-existing', 'Pass over files that are there.',
'--all', 'Every completed task not yet saved.',
'-j --jobs =', 'How many at a time.',
'--open', 'Open the saved clip in the desktop''s player.'
)
Arguments = @('=@tasks +')
}
'preview' = @{
Commands = @()
Options = @(
'--open', 'In the desktop''s player instead.'
)
Arguments = @('=/|@tasks')
}
'sandbox' = @{
Commands = @()
Options = @(
'--port =', 'The port; 0 takes a free one.'
)
Arguments = @()
}
'help' = @{
Commands = @()
Options = @()
Arguments = @('=exit-codes|environment|templates|json +')
}
'auth' = @{
Commands = @(
'login', 'Store the API key: typed unseen, or read from standard input',
'logout', 'Remove the stored key',
'status', 'Where the key comes from'
)
Options = @()
Arguments = @()
}
'auth login' = @{
Commands = @()
Options = @(
'--no-verify', 'Store the key without asking the API.'
)
Arguments = @()
}
'auth logout' = @{
Commands = @()
Options = @()
Arguments = @()
}
'auth status' = @{
Commands = @()
Options = @()
Arguments = @()
}
'config' = @{
Commands = @(
'list', 'All that is set, and where it comes from',
'get', 'One setting''s value',
'set', 'Set one setting',
'unset', 'Go back to the default',
'path', 'Where the config file is'
)
Options = @()
Arguments = @()
}
'config list' = @{
Commands = @()
Options = @()
Arguments = @()
}
'config get' = @{
Commands = @()
Options = @()
Arguments = @('=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month')
}
'config set' = @{
Commands = @()
Options = @()
Arguments = @('=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month', '=%')
}
'config unset' = @{
Commands = @()
Options = @()
Arguments = @('=base-url|model|mode|duration|aspect-ratio|quality|seed|sound|count|max-cost|wait|output|timeout|force|open|jobs|connect-timeout|read-timeout|create-timeout|budget.day|budget.month')
}
'config path' = @{
Commands = @()
Options = @()
Arguments = @()
}
}
$common = @(
'--json', 'Print JSON: an object a line, or one array.',
'-q --quiet', 'Say nothing but results and errors.',
'--debug', 'Trace requests and answers, secrets left out.',
'--sandbox', 'Use an emulator of the API: no key, no money.',
'--base-url =', 'The API''s base URL.',
'--no-color', 'No colours. NO_COLOR does the same.',
'-h --help', 'Show this message and exit.'
)

# The words before the cursor, and the one under it up to the cursor.
$typed = @()
$current = ''
foreach ($element in $commandAst.CommandElements) {
    $word = $element.Extent.Text
    if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $word = $element.Value }
    if ($element.Extent.EndOffset -lt $cursorPosition) {
        $typed += $word
    } elseif ($element.Extent.StartOffset -lt $cursorPosition) {
        $current = $element.Extent.Text.Substring(0, $cursorPosition - $element.Extent.StartOffset).Trim('"', "'")
    }
}

function Get-Option([string]$name) {
    for ($at = 0; $at -lt $state.Options.Count; $at += 2) {
        if (($state.Options[$at] -replace ' =.*').Split(' ') -ccontains $name) { return $state.Options[$at] }
    }
    ''
}

# Text as one argument of a command line, whatever is in it.
function Get-Quoted([string]$text) {
    if ($text -cmatch '^[A-Za-z0-9_./:%+=-]+$') { return $text }
    "'" + ($text -replace "(['\u2018\u2019\u201a\u201b])", '$1$1') + "'"
}

function Write-Candidate([string]$value, [string]$says, [string]$lead = '') {
    if (-not $value.StartsWith($state.Part, [StringComparison]::Ordinal)) { return }
    if (-not $says) { $says = $value }
    [System.Management.Automation.CompletionResult]::new($lead + (Get-Quoted $value), $value, 'ParameterValue', $says)
}

function Write-Values([string]$values, [string]$lead) {
    foreach ($value in ($values -replace ' \+$').Split('|')) {
        switch -Wildcard -CaseSensitive ($value) {
            '' { }
            '%' {
                $state.Options = $table['create'].Options
                $option = Get-Option "--$($state.Before)"
                if ($option -clike '* =*') { Write-Values ($option -replace '^.* =') $lead }
                elseif ($option) { Write-Values 'true|false' $lead }
            }
            '/' {
                foreach ($file in [System.Management.Automation.CompletionCompleters]::CompleteFilename($state.Part)) {
                    [System.Management.Automation.CompletionResult]::new(
                        $lead + $file.CompletionText, $file.ListItemText, $file.ResultType, $file.ToolTip)
                }
            }
            '@*' {
                # Modes are the same for all models, as long as none is named.
                if ($value -ceq '@modes' -and $state.Given -cnotcontains '--model') { break }
                $program = if ($typed[0] -match '[\\/]') { $typed[0] } else { 'airvid' }
                $found = @(& $program __complete "$($value.Substring(1))=$($state.Part)" @typed 2>$null)
                foreach ($line in $found) {
                    $each, $says = $line.Split("`t", 2)
                    Write-Candidate $each $says $lead
                }
                if ($value -ceq '@modes' -and $found) { return }
            }
            default { Write-Candidate $value '' $lead }
        }
    }
}

# What the words before the cursor say: which command it is, which options are given, how many arguments, and whether an
# option awaits its value.
$state = @{ Command = ''; Options = @(); Given = @(); Place = 0; Before = ''; Awaited = ''; Ended = $false; Part = $current }
$state.Options = $table[''].Options + $common
foreach ($word in $typed | Select-Object -Skip 1) {
    if ($state.Awaited) {
        $state.Awaited = ''
    } elseif ($word -ceq '--' -and -not $state.Ended) {
        $state.Ended = $true
    } elseif ($word -clike '--*' -and -not $state.Ended) {
        $option = Get-Option ($word -replace '=.*')
        $state.Given += ($option -replace ' =.*').Split(' ')
        if ($option -clike '* =*' -and $word -cnotlike '*=*') { $state.Awaited = $option }
    } elseif ($word -clike '-?*' -and -not $state.Ended) {
        for ($at = 1; $at -lt $word.Length; $at++) {
            $option = Get-Option "-$($word[$at])"
            $state.Given += ($option -replace ' =.*').Split(' ')
            if ($option -clike '* =*') {
                if ($at -eq $word.Length - 1) { $state.Awaited = $option }
                break
            }
        }
    } elseif ($table[$state.Command].Commands -ccontains $word) {
        $state.Command = "$($state.Command) $word".Trim()
        $state.Options = $table[$state.Command].Options + $common
    } else {
        $state.Place++
        $state.Before = $word
    }
}

$row = $table[$state.Command]
if ($state.Awaited) {
    Write-Values ($state.Awaited -replace '^.* =') ''
} elseif ($current -clike '--*=*' -and -not $state.Ended) {
    $option = Get-Option ($current -replace '=.*')
    $lead, $state.Part = $current.Split('=', 2)
    if ($option -clike '* =*') { Write-Values ($option -replace '^.* =') "$lead=" }
} elseif ($current -clike '-*' -and -not $state.Ended) {
    for ($at = 0; $at -lt $state.Options.Count; $at += 2) {
        $option = $state.Options[$at]
        foreach ($name in ($option -replace ' =.*').Split(' ')) {
            if ($state.Given -cnotcontains $name -or $option -clike '* +') {
                Write-Candidate $name $state.Options[$at + 1]
            }
        }
    }
} elseif ($row.Commands -and $state.Place -eq 0) {
    for ($at = 0; $at -lt $row.Commands.Count; $at += 2) { Write-Candidate $row.Commands[$at] $row.Commands[$at + 1] }
} elseif ($state.Place -lt $row.Arguments.Count) {
    Write-Values $row.Arguments[$state.Place].Substring(1) ''
} elseif ($row.Arguments -and $row.Arguments[-1] -clike '* +') {
    Write-Values $row.Arguments[-1].Substring(1) ''
}
}
