"""Label selectors, as Kubernetes means them."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.api.resource import Part

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


class Requirement(Part, frozen=True, kw_only=True):
    """A condition on one label."""

    key: str
    """The label's name."""
    operator: str
    """`In` and `NotIn` the values, `Exists` or `DoesNotExist`. Any other is never met."""
    values: tuple[str, ...] = ()
    """Values for `In` and `NotIn`; a missing label is in none."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet it; an operator that Kubernetes does not know is never met."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
        return False


class LabelSelector(Part, frozen=True, kw_only=True):
    """Conditions on labels that must all hold; none at all: everything is selected."""

    match_labels: dict[str, str] = {}
    """Labels that must be there with exactly these values."""
    match_expressions: tuple[Requirement, ...] = ()
    """Conditions that must all hold beside `matchLabels`."""

    def selects(self, labels: Mapping[str, str]) -> bool:
        wanted = all(labels.get(key) == value for key, value in self.match_labels.items())
        return wanted and all(each.holds(labels) for each in self.match_expressions)
