# Completion of airvid for PowerShell 5.1 and later.
# What is not in its table, `airvid __complete` knows, never from the network.

Register-ArgumentCompleter -Native -CommandName airvid -ScriptBlock {
param($wordToComplete, $commandAst, $cursorPosition)

# {table}

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
