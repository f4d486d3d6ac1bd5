"""What schemathesis is not to try: headers that nobody has described. Herald takes them, as every HTTP server does; schemathesis knows
that, but not beside a described header that is a number. And texts in `Herald-Headers` that are no JSON: it takes an empty one for one
that the header's pattern permits."""

import json

import schemathesis


def is_object(text):
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@schemathesis.hook
def filter_case(context, case):
    headers = case.headers or {}
    own = headers.get("Herald-Headers")
    return not any("unknown-property" in name for name in headers) and (own is None or is_object(own))
