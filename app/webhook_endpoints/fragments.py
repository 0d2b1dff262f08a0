"""The part of events in a statement that makes them happen: common table expressions, each by its name.

For what ends so often that a second statement would be felt. Others use `outbox`.
"""

from app.webhook_endpoints.outbox import IS_ON


def told(happened: str, *, organization: str) -> dict[str, str]:
    """What writes an event, and a delivery of it to every endpoint that wants it. Without endpoints nothing is read.

    Args:
        happened: has a row for each event that happens, with `type`, `subject` and `data`, a text of JSON.
        organization: a parameter with its id.
    """
    return {
        "wanting": f"SELECT id, events FROM webhook_endpoints WHERE organization_id = {organization} AND {IS_ON}",
        # What happens is looked at for each endpoint that wants it, so not at all if there is none.
        "events": f"""
            INSERT INTO webhook_events (id, organization_id, type, subject, body)
            SELECT 'evt-' || replace(gen_random_uuid()::text, '-', ''), {organization}, type, subject,
                   '{{"type":' || to_json(type) || ',"timestamp":'
                   || to_json(to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                   || ',"data":' || data || '}}'
            FROM {happened} WHERE EXISTS (SELECT FROM wanting WHERE type = ANY (wanting.events))
            RETURNING id, type
        """,
        "deliveries": f"""
            INSERT INTO webhook_deliveries (organization_id, endpoint_id, event_id, event_type)
            SELECT {organization}, wanting.id, events.id, events.type
            FROM events JOIN wanting ON events.type = ANY (wanting.events)
        """,
    }
