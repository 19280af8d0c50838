"""Checks a job's input against a schema of the handler's.

A schema is {name: {"type": T, "required": bool, "default": V, "constraints": function}}; a rule may
be JSON text. The errors' texts are the SDK's, since handlers return them to clients.
"""

import json


def _rules_of(schema, errors):
    """{name: dict}; what cannot be read is an error and counts as a rule without members."""
    found = {}
    for name, rules in schema.items():
        if not isinstance(rules, dict):
            try:
                rules = json.loads(rules)
            except (TypeError, ValueError):
                rules = None
        if not isinstance(rules, dict):
            errors.append("Schema error, {} is not a dictionary.".format(name))
            rules = {}
        found[name] = rules
    return found


def _fill_in(name, rules, given, values, errors):
    """The default of an input that is not given; whether it has to be."""
    if "type" not in rules:
        errors.append("Schema error, missing type for {}.".format(name))
    if "required" not in rules or (rules["required"] and name not in given):
        errors.append("{} is a required input.".format(name))
    elif name not in given and "default" in rules:
        values[name] = rules["default"]
    elif name not in given:
        errors.append("Schema error, missing default value for {}.".format(name))


def _check_value(name, rules, values, errors):
    kind = rules.get("type")
    if name in values and kind is not None:
        if kind is float and type(values[name]) is int:
            values[name] = float(values[name])
        value = values[name]
        if "default" in rules and isinstance(value, type(rules["default"])):
            return
        if not isinstance(value, kind):
            errors.append("{} should be {} type, not {}.".format(name, kind, type(value)))
    if "constraints" in rules and not rules["constraints"](values.get(name)):
        errors.append("{} does not meet the constraints.".format(name))


def validate(raw_input, schema):
    """{"validated_input": the input with defaults} or {"errors": [text, ...]}."""
    errors = [
        "Unexpected input. {} is not a valid input option.".format(name)
        for name in raw_input
        if name not in schema
    ]
    rules = _rules_of(schema, errors)
    values = dict(raw_input)
    for name in rules:
        _fill_in(name, rules[name], raw_input, values, errors)
    for name in rules:
        _check_value(name, rules[name], values, errors)
    return {"errors": errors} if errors else {"validated_input": values}
