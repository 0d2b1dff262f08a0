"""The HTTP API's table of contents."""

from fastapi import APIRouter

from app.agents.router import router as agents
from app.chat.responses.router import router as responses
from app.chat.router import router as chat
from app.content.file_router import router as files
from app.content.router import router as content
from app.credits.router import router as credits
from app.embeddings.router import router as embeddings
from app.generations.router import router as callbacks
from app.images.router import edits_router as image_edits
from app.images.router import router as images
from app.input_files.router import router as input_files
from app.model_names.router import router as models
from app.sessions.router import router as sessions
from app.speech.router import router as speech
from app.usage.router import router as usage
from app.webhook_endpoints.router import router as webhook_endpoints

router = APIRouter()
router.include_router(chat)
router.include_router(responses)
router.include_router(embeddings)
router.include_router(images)
router.include_router(image_edits)
router.include_router(speech)
router.include_router(models)
router.include_router(agents)
router.include_router(sessions)
router.include_router(content)
router.include_router(credits)
router.include_router(usage)
router.include_router(files)
router.include_router(input_files)
router.include_router(webhook_endpoints)
router.include_router(callbacks)
