"""The order of an experiment's actions: each begins when all that it starts after are over."""

from collections.abc import Collection, Mapping

# Action's name -> names of those it starts after.
Order = Mapping[str, Collection[str]]


def ready(order: Order, *, over: Collection[str], begun: Collection[str]) -> list[str]:
    """Those that may begin now, in the template's order."""
    return [
        name
        for name, after in order.items()
        if name not in begun and name not in over and all(each in over for each in after)
    ]


def stuck(order: Order) -> list[str]:
    """Those that could never begin, because they wait for each other in a circle."""
    over: list[str] = []
    while more := ready(order, over=over, begun=()):
        over += more
    return [name for name in order if name not in over]


def parallel(order: Order) -> int:
    """How many may be under way at once at most. `order` has no circle.

    Actions may run together if neither starts after the other, directly or by way of others.
    The largest such set is as large as the smallest number of chains that hold all actions
    (Dilworth), which is the number of actions less that of a maximum matching (Kuhn's way).
    """
    before: dict[str, set[str]] = {}
    while more := ready(order, over=before, begun=()):
        for name in more:
            before[name] = set(order[name]).union(*(before[each] for each in order[name]))
    successor: dict[str, str] = {}

    def chain(name: str, tried: set[str]) -> bool:
        for earlier in before[name] - tried:
            tried.add(earlier)
            if earlier not in successor or chain(successor[earlier], tried):
                successor[earlier] = name
                return True
        return False

    return len(before) - sum(chain(name, set()) for name in before)
