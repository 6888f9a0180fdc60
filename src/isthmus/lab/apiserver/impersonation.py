"""`kubectl --as`: users who may act as others, and ask what these may."""

from __future__ import annotations

from multidict import CIMultiDictProxy

from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.rbac import Access, Rbac
from isthmus.lab.apiserver.users import AUTHENTICATED, User, account_user

_USER, _GROUP, _UID, _EXTRA = (
    "Impersonate-User",
    "Impersonate-Group",
    "Impersonate-Uid",
    "Impersonate-Extra-",
)


def impersonated(user: User, headers: CIMultiDictProxy[str], rbac: Rbac) -> User:
    """Whom `user` acts as by the request's headers; themselves where these name nobody.

    Raises `ApiError` (403) where they may not.
    """
    name = headers.get(_USER, "")
    groups = tuple(headers.getall(_GROUP, []))
    if not name:
        if groups or _UID in headers:
            raise ApiError(400, "BadRequest", f"{_GROUP} and {_UID} need {_USER} beside them")
        return user
    other = User(name)
    if account := other.account:
        namespace, own = account
        _must_be_allowed(user, rbac, Access("impersonate", "serviceaccounts", namespace=namespace, name=own))
        other = account_user(namespace, own)
    else:
        _must_be_allowed(user, rbac, Access("impersonate", "users", name=name))
    for group in groups:
        _must_be_allowed(user, rbac, Access("impersonate", "groups", name=group))
    extra: dict[str, list[str]] = {}
    for key, value in headers.items():
        if key.lower().startswith(_EXTRA.lower()):
            extra.setdefault(key[len(_EXTRA) :].lower(), []).append(value)
    mine = groups or tuple(each for each in other.groups if each != AUTHENTICATED)
    return User(name, (*mine, AUTHENTICATED), headers.get(_UID, ""), extra)


def _must_be_allowed(user: User, rbac: Rbac, access: Access) -> None:
    if rbac.allows(user, access) is None:
        message = f'{access.resource} "{access.name}" is forbidden: {access.refusal(user)}'
        raise ApiError(403, "Forbidden", message)
