"""The HTTP API's table of contents."""

from fastapi import APIRouter

from app.chat.router import router as chat
from app.content.files import router as files
from app.content.router import router as content
from app.credits.router import router as credits

router = APIRouter()
router.include_router(chat)
router.include_router(content)
router.include_router(credits)
router.include_router(files)
