"""Golden model of hdl.pcie.SharedCredits."""

__all__ = ["SharedCreditsModel"]


class SharedCreditsModel:
    """Broadcasts whose copies leave column by column, each column in order.

    Parameters
    ----------
    column_count : int
        Columns that get a copy of each.
    headers : int
        Broadcasts that can be inside.
    """

    def __init__(self, column_count: int, headers: int):
        self.headers = headers
        #: Broadcasts inside, the oldest first: the columns that still have their copy.
        self.inside: list[set[int]] = []
        self.columns = frozenset(range(column_count))

    def enter(self) -> None:
        """Take a broadcast.

        Raises
        ------
        ValueError
            If there is no credit for it.
        """
        if len(self.inside) == self.headers:
            raise ValueError(f"a broadcast more than {self.headers}")
        self.inside.append(set(self.columns))

    def waiting(self, column: int) -> int:
        """Count the copies that a column holds."""
        return sum(column in columns for columns in self.inside)

    def leave(self, column: int) -> None:
        """Let the oldest copy of a column leave."""
        next(columns for columns in self.inside if column in columns).remove(column)

    def free(self) -> bool:
        """Return the credit of a broadcast that has left everywhere, if there is one."""
        if not self.inside or self.inside[0]:
            return False
        self.inside.pop(0)
        return True
