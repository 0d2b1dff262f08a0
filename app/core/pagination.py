from typing import Annotated

from fastapi import Query

# With the largest page number, an offset still fits into Postgres's bigint.
PageNumber = Annotated[int, Query(ge=1, le=2**31 - 1, description="Page number, from 1")]
PageSize = Annotated[int, Query(ge=1, le=100, description="Items per page, at most 100")]
