"""The HTTP API's table of contents."""

from fastapi import APIRouter

from app.agents.router import router as agents
from app.chat.models_router import router as models
from app.chat.router import router as chat
from app.content.files import router as files
from app.content.router import router as content
from app.content.webhooks import router as webhooks
from app.credits.router import router as credits
from app.sessions.router import router as sessions

router = APIRouter()
router.include_router(chat)
router.include_router(models)
router.include_router(agents)
router.include_router(sessions)
router.include_router(content)
router.include_router(credits)
router.include_router(files)
router.include_router(webhooks)
