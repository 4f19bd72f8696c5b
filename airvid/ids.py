"""What a task's id may be. Loaded on every TAB: nothing is imported."""

LONGEST_ID = 200
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:")


def is_task_id(value: object) -> bool:
    """Whether a value is a task id: ASCII letters, digits, `_`, `-`, and `.` or `:` inside it, up to 200 of them.

    Such an id is one plain word for every shell, and no step up in a path. It does not begin with `-`, for a command
    would read it as an option, and it is not `last`, which every command reads as the newest task.
    """
    return (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_ID
        and _CHARACTERS.issuperset(value)
        and value[0] not in "-.:"
        and value[-1] not in ".:"
        and value != "last"
    )
