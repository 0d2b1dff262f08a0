from typing import Annotated

from fastapi import Query

# The largest page keeps every offset within Postgres' bigint.
PageNumber = Annotated[int, Query(ge=1, le=2**31 - 1, description="Page number, from 1")]
PageSize = Annotated[int, Query(ge=1, le=100, description="Items per page, at most 100")]
