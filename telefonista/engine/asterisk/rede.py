"""The test network in the engine: its dialplan (called by conf), its sounds and the product's notices (by the wiring).

A call reaches the context from a loopback endpoint by real SIP, EXTEN being the number dialled. Needed modules:
app_playback, app_echo, app_senddtmf, func_timeout, and format_wav and codec_alaw for the sounds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from telefonista.engine.rede import NUMEROS
from telefonista.media import speech, tones
from telefonista.media.levels import Samples
from telefonista.media.wav import write_wav

CONTEXT = "rede-de-teste"

Espeak = Callable[..., tuple[str, ...]]
"""`espeak(*arguments)`: the command line that runs espeak-ng with them."""

FALAS = {
    "fala": (
        "Olá! Aqui é o telefonista, a sua operadora em software. "
        "Esta é a rede de teste, e esta ligação é de verdade. "
        "Se você me ouve bem, está tudo pronto. Até logo!"
    ),
    "caixa_postal": "Sua chamada está sendo encaminhada para a caixa postal e estará sujeita a cobrança após o sinal.",
}
"""What the test network's numbers say, by file name."""

AVISOS = {
    "nao_permitido": "Este ramal não tem permissão para esta ligação.",
    "numero_invalido": "O número discado não existe. Verifique o número e disque novamente.",
    "nao_atende": "O número chamado não atende. Tente mais tarde.",
    "ocupado": "O número chamado está ocupado. Tente mais tarde.",
    "indisponivel": "O ramal chamado não está disponível no momento.",
    "congestionado": "Não foi possível completar a ligação agora. Tente novamente em alguns instantes.",
    "sem_saldo": "O seu saldo não é suficiente para esta ligação.",
    "conferencia_inexistente": "Esta sala de conferência não existe ou já foi encerrada.",
    "conferencia_pin": "Digite a senha da sala de conferência.",
    "conferencia_pin_incorreto": "A senha não confere. Até logo.",
    "codigo": "Aqui é a telefonista. O código de confirmação deste número é:",
    "repito": "Repito:",
    "digito_0": "zero",
    "digito_1": "um",
    "digito_2": "dois",
    "digito_3": "três",
    "digito_4": "quatro",
    "digito_5": "cinco",
    "digito_6": "meia",
    "digito_7": "sete",
    "digito_8": "oito",
    "digito_9": "nove",
}
"""What the product itself says to a caller, by file name."""

_SOUNDS = (*FALAS, "bipe", "tom_440", "tom_880")

# No module for tones is loaded: a looped file. Each turn breaks the phase once, for under 20 ms, so turns are few.
_TONE_SECONDS = 60

# Longer than any call may last (MAX_CALL_SECONDS): only a call forgotten by both ends reaches it.
_LIMIT = 16000

# Without `i` Answer waits up to 0.5 s for the caller's first packet.
_RING = ("Ringing()", "Wait(0.8)", "Answer(,i)")
_SHORT_RING = ("Ringing()", "Wait(0.2)", "Answer(,i)")

# Before the answer Hangup's cause decides the SIP code (22.10): 1=404, 16=603, 17=486, 19=480, 34=503.
_STEPS: dict[str, tuple[str, ...]] = {
    "1030000001": (*_RING, "Playback(@fala)", "Hangup(16)"),
    "1030000002": (*_SHORT_RING, "(de_novo)Echo()", "Goto(de_novo)"),  # Echo ends at a '#'
    "1030000003": ("Hangup(17)",),
    "1030000004": ("Ringing()", "Wait(300)", "Hangup(19)"),
    "1030000005": ("Hangup(1)",),
    "1030000006": ("Hangup(34)",),
    "1030000007": ("Progress()", "Playback(@caixa_postal,noanswer)", "Hangup(19)"),
    "1030000008": (
        *_RING,
        "Set(TIMEOUT(absolute)=20)",
        "Playback(@caixa_postal)",
        "Playback(@bipe)",
        "Wait(20)",
        "Hangup(16)",
    ),
    "1030000009": (*_RING, "Wait(1)", "SendDTMF(1)", "Wait(59)", "Hangup(16)"),
    "1030000010": ("Hangup(16)",),
    "1030000011": (*_SHORT_RING, "Wait(3)", "Hangup(16)"),
    "1030000021": (*_SHORT_RING, "(de_novo)Playback(@tom_440)", "@repetir", "Hangup(38)"),
    "1030000022": (*_SHORT_RING, "(de_novo)Playback(@tom_880)", "@repetir", "Hangup(38)"),
}
# Without the condition a missing file would spin for as long as the caller stays.
_REPEAT = 'GotoIf($["${PLAYBACKSTATUS}"="SUCCESS"]?de_novo)'


def dialplan(sounds: Path) -> str:
    """The `[rede-de-teste]` section of extensions.conf; `sounds` is where `render_sounds` puts its files.

    Numbers arrive as 10..., 5510... or +5510..., fixo or movel; any other is answered 404. Raises ValueError when the
    path holds a character that the dialplan would take for its own.
    """
    directory = str(sounds.absolute())
    if re.search(r"[,;&|\"'\\\[\]{}()$@\x00-\x1f]", directory):
        raise ValueError(
            f"O caminho {directory} tem um sinal que o motor não aceita: escolha um só de letras e números."
        )
    lines = [
        f"[{CONTEXT}]",
        "exten => _+5510.,1,Goto(${EXTEN:3},1)",
        "exten => _5510.,1,Goto(${EXTEN:2},1)",
        "exten => _10930000XXX,1,Goto(10${EXTEN:3},1)",
    ]
    for numero, descricao in NUMEROS.items():
        lines += [f"; {descricao}", f"exten => {numero},1,Set(TIMEOUT(absolute)={_LIMIT})"]
        lines += [_line(step, directory) for step in _STEPS[numero]]
    # Letters are left out: a pattern that matches h or T catches the end of every call here (22.10).
    lines += ["; todo o resto", "exten => _[+*#0-9].,1,Hangup(1)", "exten => _[+*#0-9],1,Hangup(1)"]
    return "\n".join(lines) + "\n"


def _line(step: str, directory: str) -> str:
    label, application = ("(de_novo)", step[9:]) if step.startswith("(de_novo)") else ("", step)
    application = application.replace("@repetir", _REPEAT).replace("(@", f"({directory}/")
    return f" same => n{label},{application}"


async def render_notices(espeak: Espeak, avisos: Path) -> None:
    """Make the product's AVISOS in `avisos`, as render_sounds does the test network's sounds."""
    await _speak_missing(espeak, avisos, AVISOS)


async def render_sounds(espeak: Espeak, sounds: Path, avisos: Path | None = None) -> None:
    """Make the test network's WAVs in `sounds` and the product's AVISOS in `avisos` (8 kHz mono s16), once.

    What is there and still says the same is kept, in under 1 ms; the first time takes about 1 s. Each file appears
    whole. Raises SpeechError, OSError.
    """
    await _speak_missing(espeak, sounds, FALAS)
    makers: dict[str, Callable[[], Samples]] = {
        "bipe": tones.beep,
        "tom_440": lambda: tones.sine(440, _TONE_SECONDS),
        "tom_880": lambda: tones.sine(880, _TONE_SECONDS),
    }
    for name, make in makers.items():
        if not (path := sounds / f"{name}.wav").exists():
            _write(path, make())
    if avisos is not None:
        await render_notices(espeak, avisos)


async def _speak_missing(espeak: Espeak, directory: Path, texts: Mapping[str, str]) -> None:
    """`.NAME.feito` beside each file remembers what was asked of espeak-ng, so that a changed text is spoken anew."""
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 (small files, once per installation)
    for name, text in texts.items():
        path, memory = directory / f"{name}.wav", directory / f".{name}.feito"
        arguments = speech.speech_arguments(text)
        asked = hashlib.sha256("\0".join(arguments).encode()).hexdigest()
        if path.exists() and memory.exists() and memory.read_text() == asked:
            continue
        _write(path, await speech.speak(espeak(*arguments)))
        memory.write_text(asked)


def _write(path: Path, samples: Samples) -> None:
    write_wav(path, samples.astype("<i2").tobytes())
    path.chmod(0o644)  # the engine may run as another user
