"""Where a call goes: a walk through the very resources that an Envoy holds, as Envoy itself walks them."""
