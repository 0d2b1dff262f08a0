from app.configuration.models import OF_ALL


def version(organization: str) -> str:
    """The version of an organization's configuration, as a subquery. It grows with every change of either part."""
    return f"""
    (SELECT coalesce(sum(version), 0)::bigint FROM configuration_versions
     WHERE organization_id IN ({organization}, '{OF_ALL}'))
    """
