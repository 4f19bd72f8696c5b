"""Written by `pytest --update-golden` from cli.py: the options of each command, for parse.py."""

from __future__ import annotations

COMMON: dict[str, tuple[str, bool | str]] = {
    '--base-url': ('base_url', 'text'),
    '--debug': ('debug', True),
    '--json': ('json', True),
    '--no-color': ('no_color', True),
    '--quiet': ('quiet', True),
    '--sandbox': ('sandbox', True),
    '-q': ('quiet', True),
}
COMMANDS: dict[tuple[str, ...], tuple[dict[str, tuple[str, bool | str]], list[tuple[str, str]]]] = {
    ('models',): (
        {
            '--aspect-ratio': ('aspect_ratio', 'text'),
            '--duration': ('duration', 'number'),
            '--max-price': ('max_price', 'text'),
            '--mode': ('mode', 'text'),
            '--quality': ('quality', 'text'),
            '--sort': ('sort', 'text'),
            '-a': ('aspect_ratio', 'text'),
            '-d': ('duration', 'number'),
        },
        [('names', 'many')],
    ),
    ('create',): (
        {
            '--aspect-ratio': ('aspect_ratio', 'text'),
            '--count': ('count', 'number'),
            '--dry-run': ('dry_run', True),
            '--duration': ('duration', 'number'),
            '--force': ('force', True),
            '--image': ('image', 'text'),
            '--max-cost': ('max_cost', 'text'),
            '--mode': ('mode', 'text'),
            '--model': ('model', 'text'),
            '--no-sound': ('sound', False),
            '--no-validate': ('no_validate', True),
            '--no-wait': ('wait', False),
            '--open': ('open_', True),
            '--output': ('output', 'text'),
            '--preview': ('preview', True),
            '--prompt-file': ('prompt_file', 'text'),
            '--quality': ('quality', 'text'),
            '--reference': ('reference', 'texts'),
            '--seed': ('seed', 'number'),
            '--set': ('set_', 'texts'),
            '--sound': ('sound', True),
            '--timeout': ('timeout', 'text'),
            '--wait': ('wait', True),
            '-a': ('aspect_ratio', 'text'),
            '-d': ('duration', 'number'),
            '-i': ('image', 'text'),
            '-m': ('model', 'text'),
            '-n': ('count', 'number'),
            '-o': ('output', 'text'),
            '-r': ('reference', 'texts'),
            '-w': ('wait', True),
        },
        [('prompt', 'optional')],
    ),
    ('status',): (
        {
            '--exit-status': ('exit_status', True),
        },
        [('ids', 'many')],
    ),
    ('watch',): (
        {
            '--fail-fast': ('fail_fast', True),
            '--force': ('force', True),
            '--open': ('open_', True),
            '--output': ('output', 'text'),
            '--timeout': ('timeout', 'text'),
            '-o': ('output', 'text'),
        },
        [('ids', 'many')],
    ),
    ('list',): (
        {
            '--ids': ('ids', True),
            '--limit': ('limit', 'number'),
            '--local': ('local', True),
            '--model': ('model', 'text'),
            '--page': ('page', 'number'),
            '--search': ('search', 'text'),
            '--since': ('since', 'text'),
            '--status': ('status', 'texts'),
            '-L': ('limit', 'number'),
            '-m': ('model', 'text'),
        },
        [],
    ),
    ('delete',): (
        {
            '--all': ('all_', True),
            '--older-than': ('older_than', 'text'),
            '--status': ('status', 'texts'),
            '--yes': ('yes', True),
            '-y': ('yes', True),
        },
        [('ids', 'many')],
    ),
    ('download',): (
        {
            '--all': ('all_', True),
            '--force': ('force', True),
            '--jobs': ('jobs', 'number'),
            '--open': ('open_', True),
            '--output': ('output', 'text'),
            '--skip-existing': ('skip_existing', True),
            '-j': ('jobs', 'number'),
            '-o': ('output', 'text'),
        },
        [('ids', 'many')],
    ),
    ('preview',): (
        {
            '--open': ('open_', True),
        },
        [('what', 'required')],
    ),
    ('auth', 'login'): (
        {
            '--no-verify': ('no_verify', True),
        },
        [],
    ),
    ('auth', 'logout'): (
        {
        },
        [],
    ),
    ('auth', 'status'): (
        {
        },
        [],
    ),
    ('config', 'list'): (
        {
        },
        [],
    ),
    ('config', 'get'): (
        {
        },
        [('key', 'required')],
    ),
    ('config', 'set'): (
        {
        },
        [('key', 'required'), ('value', 'required')],
    ),
    ('config', 'unset'): (
        {
        },
        [('key', 'required')],
    ),
    ('config', 'path'): (
        {
        },
        [],
    ),
}
