from typing import Annotated

from fastapi import Query

# With the largest page number, an offset still fits into Postgres's bigint.
LARGEST_PAGE_NUMBER = 2**31 - 1
LARGEST_PAGE_SIZE = 100

PageNumber = Annotated[int, Query(ge=1, le=LARGEST_PAGE_NUMBER, description="Page number, from 1")]
PageSize = Annotated[int, Query(ge=1, le=LARGEST_PAGE_SIZE, description=f"Items per page, at most {LARGEST_PAGE_SIZE}")]
