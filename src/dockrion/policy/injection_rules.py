"""The built-in rules against prompt injection, as data.

They are written for folded text (`injection.folded`): lower case, without diacritics, each white space one blank. Each
repeat is bounded or ends where the next part begins, so the time grows with the text alone. `stems` are looked
for first: where none of them is, the rule cannot match.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class InjectionRule(NamedTuple):
    """`pattern` needs one of `stems` in the text; `unless` takes a match back where it is found near it."""

    name: str
    stems: tuple[str, ...]
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None = None


def _rule(name: str, stems: str, *patterns: str, unless: str | None = None) -> InjectionRule:
    whole = "|".join(f"(?:{pattern})" for pattern in patterns)
    exception = None if unless is None else re.compile(unless)
    return InjectionRule(name, tuple(stems.split()), re.compile(whole), exception)


# A few words in between, whatever separates them.
def _words(most: int) -> str:
    return rf"(?:\W{{1,5}}\w{{1,30}}){{0,{most}}}?\W{{1,5}}"


_DROP: Final = (
    # Not where the text says not to.
    r"(?<!n.t )(?<!nt )(?<!not )(?<!never )"
    r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)(?! of )|bypass(?:ing)?|discard|neglect|overlook"
    r"|(?:do not|don.?t|stop|no longer) (?:follow|obey|listen to|comply with|adhere to|heed)(?:ing)?)\b"
)
_EARLIER: Final = r"(?:previous|previously given|prior|above|earlier|preceding|foregoing|original|initial|system|existing|former|past)"
_ORDERS: Final = (
    r"(?:instructions?|prompts?|directions?|directives?|guidelines?|rules?|commands?|orders?|constraints?|restrictions?"
    r"|programming|training|context|system message)\b"
)
_PERSONA: Final = (
    r"(?:ai|a\.i\.|bot|chatbot|robot|assistant|model|llm|persona|character|pirate|hacker|terminal|shell|interpreter|agent|villain"
    r"|wizard|genie|god|demon|oracle|cat|dog|poet|comedian|lawyer|doctor|psychologist|therapist|scammer|criminal|thief|spy"
    r"|admin|administrator|root|developer|sysadmin|linux|python|console|calculator|translator|evil|twin|gpt|dan|alien|king|queen"
    r"|expert|professor|teacher|salesman|salesperson|narrator|vampire|unfiltered|uncensored|unrestricted)\b"
)
_SYSTEM_ORDERS: Final = (
    r"(?:you (?:are|must|will|shall|should|have to|may now|can now)|your (?:new |real |only )?(?:task|job|role|instructions?|goal)"
    r"|ignore|disregard|forget|do not|don.?t|always|never|reveal|print|output|show|override|act as|pretend|respond|reply|answer"
    r"|from now on|new instructions?|instructions? (?:updated|changed)|all (?:safety|filters|restrictions)|the (?:user|assistant) is"
    r"|send|delete|execute|run|enable|disable|switch to|comply|obey|say|grant|transfer|call|approve|repeat)\b"
)
_PROMPT: Final = (
    r"(?:system[- ]?prompts?|(?:initial|original|hidden|secret|internal|base|first|full) (?:system )?(?:prompts?|instructions?)"
    r"|pre-?prompts?|system (?:instructions?|message)|developer (?:message|instructions?))\b"
)
_TELL: Final = (
    r"\b(?:reveal|show|print|display|output|repeat|tell|give|share|leak|expose|dump|write|list|disclose|recite|translate|summari[sz]e"
    r"|encode|return|copy|paste|provide|what(?:.s| is| are| was| were))\b"
)

RULES: Final = (
    _rule(
        "ignore previous instructions",
        "ignor disregard forget overrid bypass discard neglect overlook follow obey listen comply adhere heed",
        rf"{_DROP}{_words(5)}{_EARLIER}{_words(2)}{_ORDERS}",
        rf"{_DROP} (?:all |any )?(?:of )?(?:the |your |my |these |those |its )?(?:own |safety |ethical |content |developer.?s )?"
        r"(?:instructions|guidelines|prompts?|directives|programming|safety rules)\b(?! manual| booklet)",
        rf"{_DROP} (?:everything|anything|all|whatever|what)(?: that)?(?: (?:i|we|they|you|he|she|it))?"
        r"(?: (?:was|is|were|are|have|has|had|came|comes))?(?: been)? ?(?:said|told|instructed|written|given|wrote|above|before)"
        r"(?: (?:to|you|by|so|far|previously|earlier|above|before|this|in))*\b(?! to work)",
        rf"{_DROP} the above(?: text| directions| and|[,;:.]? (?:say|tell|print|output|instead|respond|write|translate|reply))",
        rf"{_DROP}{_words(3)}(?:instructions|prompts|directions|rules|messages) (?:above|before this|given (?:above|before|earlier|to you)|you (?:were|have been) given)",
    ),
    _rule(
        "ignore previous instructions, spelled apart",
        "ignoreall ignorethe ignoreprev ignoreyour disregardall disregardthe disregardprev forgetall forgetprev",
        r"(?:ignore|disregard|forget)(?:all|any|the|your|my|of)*(?:previous|prior|above|earlier|system)(?:instruction|prompt|rule|direction|order)",
    ),
    _rule(
        "ignore previous instructions, in other languages",
        "ignor vergiss vergesse missacht beacht oubli neglig olvid descart esquec desconsider dimentic trascur negeer vergeet zignoruj zapomnij "
        "игнорир забуд проигнор 忽略 忽视 无视 忘记 忘掉 無視 忽視 忘れ 무시 잊어 yok unut bortse glom strunta ηγνοησε αγνοησ تجاهل नजरअंदाज अनदेखा",
        # German, Dutch, Swedish, Danish, Norwegian
        r"\b(?:ignorier\w{0,4}|vergiss|vergesse\w?|missachte\w?|beachte\w? nicht)\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:vorherig|bisherig|vorig|obig|fruher|vorangegangen|vorstehend|urspunglich|ursprunglich|system)\w{0,4}\W{1,3}(?:\w{1,20}\W{1,3}){0,2}?(?:anweisung|instruktion|befehl|vorgabe|regel|prompt|anordnung)",
        r"\b(?:vergiss|ignorier\w{0,4}) (?:alles|was)\b(?:\W{1,3}\w{1,20}){0,4}?\W{1,3}(?:gesagt|vorher|zuvor|bisher|oben|davor)\b",
        r"\b(?:ignorier\w{0,4}|vergiss|vergesse\w?) (?:alle )?(?:deine|ihre|eure) (?:anweisungen|regeln|instruktionen|vorgaben|richtlinien)\b",
        r"\b(?:negeer|vergeet)\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:vorige|eerdere|bovenstaande|voorgaande)\W{1,3}(?:instructies|opdrachten|aanwijzingen|regels|prompts?)",
        r"\b(?:ignorera|bortse fran|glom|strunta i|ignorer|glem)\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:tidigare|foregaende|ovanstaende|tidligere|forrige)\W{1,3}(?:instruktion|instrukser|anvisning|regler|instrukser|instruks)",
        # French, Spanish, Portuguese, Italian, Romanian
        r"\b(?:ignor\w{1,4}|oubli\w{1,4}|neglig\w{1,4}|ne ten\w{1,4} pas compte)\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:instructions?|consignes?|directives?|ordres?|regles?)(?:\W{1,3}\w{1,20}){0,2}?\W{1,3}(?:precedent|anterieur|ci.dessus|initial|du systeme)",
        r"\b(?:ignor\w{1,4}|oubli\w{1,4}) (?:toutes |tous )?(?:les |vos |tes )?(?:precedentes|anterieures) (?:instructions|consignes|directives)",
        r"\b(?:ignor\w{1,4}|olvid\w{1,4}|descart\w{1,4}|no hagas caso)\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:instruccion\w{0,2}|ordene?s?|indicacion\w{0,2}|reglas?|directrices|prompts?)(?:\W{1,3}\w{1,20}){0,2}?\W{1,3}(?:anterior|previa|previo|de arriba|del sistema|original)",
        r"\b(?:ignor\w{1,4}|olvid\w{1,4}) todo lo (?:anterior|que (?:te|se te|os) (?:dije|han dicho|dijeron|ha dicho))",
        r"\b(?:ignor\w{1,4}|esquec\w{1,4}|desconsider\w{1,4})\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:instruco\w{0,2}|instrucoes|ordens|regras|comandos|diretrizes)(?:\W{1,3}\w{1,20}){0,2}?\W{1,3}(?:anterior|previa|acima|do sistema|original)",
        r"\b(?:ignor\w{1,4}|dimentic\w{1,4}|trascur\w{1,4})\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:istruzion\w|ordini|regole|direttive|indicazioni)(?:\W{1,3}\w{1,20}){0,2}?\W{1,3}(?:precedent|sopra|di sistema|iniziali|originali)",
        r"\bignor\w{1,4} (?:toate )?instructiunile (?:anterioare|precedente)",
        # Polish, Russian, Ukrainian, Turkish
        r"\b(?:zignoruj\w{0,3}|ignoruj\w{0,3}|zapomnij\w{0,3})\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:poprzedni|wczesniejsz|powyzsz)\w{0,4}\W{1,3}(?:instrukcj|polecen|zasad|regul)",
        r"\b(?:про)?игнориру\w{1,4}\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:предыдущ|прошл|прежн|вышеуказанн|системн|попередн)\w{0,4}\W{1,3}(?:инструкц|указан|команд|правил|промпт|інструкц)",
        r"\bзабуд\w{1,4}\b(?:\W{1,3}\w{1,30}){0,3}?\W{1,3}(?:предыдущ|прошл|прежн|вышеуказанн|все)\w{0,4}\W{1,3}(?:инструкц|указан|команд|правил|что тебе)",
        r"\b(?:onceki|yukaridaki)\W{1,3}(?:\w{1,30}\W{1,3}){0,2}?(?:talimat|komut|kural|yonerge)\w{0,8}\W{1,3}(?:\w{1,20}\W{1,3}){0,2}?(?:yok say|unut|goz ardi|dikkate alma)",
        # Chinese, Japanese, Korean: without blanks between words
        r"(?:忽略|忽视|忽視|无视|無視|忘记|忘掉|忘記)[^。\n]{0,8}?(?:之前|以上|上面|先前|前面|此前|以前|系统|系統|所有)[^。\n]{0,6}?(?:指令|指示|提示|命令|规则|規則|说明|內容|内容|要求)",
        r"(?:以前|これまで|上記|前|今まで|すべて|全て|元)の?[^。\n]{0,6}?(?:指示|命令|プロンプト|ルール|指令)[^。\n]{0,6}?(?:無視|忘れ)",
        r"(?:이전|위|앞|기존|지금까지)[^.\n]{0,8}?(?:지시|명령|지침|프롬프트|규칙)[^.\n]{0,8}?(?:무시|잊)",
        r"تجاهل (?:جميع |كل )?(?:التعليمات|الاوامر|الأوامر) (?:السابقة|أعلاه)",
        r"(?:पिछले|उपरोक्त) (?:सभी )?(?:निर्देशों|आदेशों) को (?:अनदेखा|नजरअंदाज)",
    ),
    _rule(
        "new persona",
        "you pretend act rolep from respond answer reply speak bist es eres agora ora sei",
        rf"\byou are now (?:going to (?:act|be|play|pretend|behave)|acting as|playing|pretending|called|named|operating as|(?:an?|the|my|our) (?:[\w-]{{1,20}} ){{0,4}}?{_PERSONA})",
        r"\byou are now (?:in )?(?:dan\b|evil|unrestricted|unfiltered|uncensored|jailbroken|god mode|developer mode|admin mode|root mode|debug mode|maintenance mode|free (?:of|from) (?:all |any |your |the )?(?:restrictions?|rules|limits|limitations|constraints|filters))",
        r"\byou are (?:now )?no longer (?:bound|restricted|limited|constrained|an? (?:ai|assistant|language model)|required to follow|a helpful)",
        r"\bfrom now on,? (?:you (?:are|will|must|shall|should|have to) (?:act|behave|respond|answer|obey|pretend|ignore|play|speak|talk|reply|be (?:an? )?(?:evil|unrestricted|unfiltered|uncensored|dan|different)|an? (?:[\w-]{1,20} ){0,3}?(?:ai|bot|assistant|model|persona|character|pirate|hacker)|going to (?:act|be)|called|named|dan|no longer)|(?:act|behave|pretend|respond|answer) (?:as|like|only|with))",
        r"\b(?:pretend|act|roleplay|role-play|behave|respond)(?: (?:to be|that you are|you are|as if you (?:were|are|have|had)|as|like))* (?:an? )?(?:[\w-]{1,20} ){0,2}?(?:unrestricted|unfiltered|uncensored|evil|jailbroken|amoral|no (?:restrictions|rules|limits|filters|ethical)|without (?:any )?(?:restrictions|rules|limits|filters|ethical))",
        r"\b(?:respond|answer|reply|act|speak) without (?:any )?(?:moral |ethical |content |safety )?(?:restrictions?|filters|censorship|limitations?|guardrails|constraints)\b",
        r"\b(?:ab jetzt|von nun an) bist du (?:ein|der|die|mein)\b|\bdu bist (?:ab )?(?:jetzt|nun) (?:ein|der|die|mein|kein)\w{0,2} (?:\w{1,20}[ -]){0,3}?(?:ki|bot|assistent|pirat|hacker|modell|charakter|chatbot|roboter)\b",
        r"\btu es (?:maintenant|desormais) (?:un|une|le|la) (?:\w{1,20} ){0,3}?(?:ia|assistant|pirate|robot|modele|hacker)\b|\b(?:ahora eres|a partir de ahora eres) (?:un|una|el|la) (?:\w{1,20} ){0,3}?(?:ia|asistente|pirata|robot|modelo|hacker)\b",
        r"\b(?:agora voce e|a partir de agora voce e|ora sei|da ora in poi sei) (?:um|uma|un|una) (?:\w{1,20} ){0,3}?(?:ia|assistente|pirata|robo|robot|modelo|modello|hacker)\b",
    ),
    _rule(
        "persona, in other scripts",
        "теперь 现在 從現 从现 あなたは今 지금부터",
        r"\bтеперь ты (?:\w{1,20} ){0,3}?(?:ии|бот|ассистент|пират|хакер|модель|робот)\b",
        r"(?:你现在是|从现在开始你是|從現在開始你是|从现在起你是|現在你是|现在你是)",
        r"(?:あなたは今から|今からあなたは)[^。\n]{0,20}?(?:です|になります|として)",
        r"지금부터 (?:너는|당신은)",
    ),
    _rule(
        "orders of a system",
        "system assistant developer instruction",
        rf"(?:^|[.!?;)\]}}>\"'`*|#_-] ?|\\n ?)(?:system|developer|assistant \(system\))(?: (?:message|note|prompt|override|update|instruction|notice|command))?\W{{0,3}}[:>=]\W{{0,6}}{_SYSTEM_ORDERS}",
        rf"#{{2,6}} ?(?:system|new instructions?|instruction|developer)\b(?: (?:message|prompt|note))?\W{{0,6}}{_SYSTEM_ORDERS}",
        r"\b(?:begin|start|end) (?:of )?(?:the )?(?:system|hidden|secret) (?:prompt|instructions?|message)\b",
        r"\b(?:new|updated|revised|real|actual) (?:system )?(?:instructions?|directives?|system prompt)(?: (?:from|by) (?:the )?(?:developer|admin|administrator|system|openai|anthropic|google))?:\W{0,4}(?:you|ignore|do not|always|never|reveal|print|output|from now)",
        r"[\"']role[\"']\s?:\s?[\"'](?:system|developer)[\"']\s?,\s?[\"']content[\"']\s?:\s?[\"'](?:you are|ignore|you must|forget|disregard)",
    ),
    _rule(
        "reveal the system prompt",
        "prompt instruction developer system above guideline rules configuration programming directive anweisung consigne instruccion инструкц промпт 提示 プロンプト 프롬프트 istruzioni",
        rf"{_TELL}(?: (?:me|us|out|back|to me))?(?: (?:verbatim|exactly|word for word|all|everything in|everything|the text|the contents?|the exact|exact|full|a copy|details|of|in))* (?:(?:your|its|the|this|that|my|these) )(?:[\w-]{{1,20}} ){{0,3}}?{_PROMPT}",
        rf"{_TELL}(?: (?:me|us|out|back))?(?: (?:verbatim|exactly|all|of|the|full|exact))* your (?:exact |full |entire |complete |current |own |confidential |secret )*(?:prompt|instructions|guidelines|configuration|programming|directives|rules)\b(?! for | about | on | to (?:make|build|cook|assemble|clean|wash|install))",
        r"\b(?:repeat|print|output|copy|write out|recite|echo|show) (?:me )?(?:all |everything |the )*(?:words?|text|content|lines?|messages?|everything)(?: that (?:is|are|was|were))? (?:above|before this|prior to this|so far)\b",
        r"\b(?:repeat|print|output) everything (?:above|before)\b",
        r"\b(?:zeige?|nenne?|verrate?|gib|drucke?)\b(?:\W{1,3}\w{1,20}){0,4}?\W{1,3}(?:system.?prompt|systemanweisung|anfangsanweisung|geheimen anweisungen|deine anweisungen)",
        r"\b(?:montre|affiche|revele|donne|repete)\w{0,2}\b(?:\W{1,3}\w{1,20}){0,4}?\W{1,3}(?:prompt (?:systeme|initial|cache)|instructions (?:systeme|initiales|cachees|secretes))",
        r"\b(?:muestra|revela|imprime|dime|ensena|mostra|revele|mostre|rivela|stampa)\w{0,3}\b(?:\W{1,3}\w{1,20}){0,4}?\W{1,3}(?:prompt (?:del sistema|de sistema|do sistema|di sistema|inicial|iniziale)|instrucciones (?:del sistema|ocultas|secretas|iniciales)|instrucoes (?:do sistema|ocultas)|istruzioni (?:di sistema|nascoste|segrete))",
        r"\b(?:pokaz|ujawnij|wyswietl)\b(?:\W{1,3}\w{1,20}){0,3}?\W{1,3}(?:prompt systemowy|instrukcje systemowe)",
        r"(?:покажи|раскрои|выведи|напечатаи)\w{0,3}\b(?:\W{1,3}\w{1,20}){0,3}?\W{1,3}(?:системн\w{1,4} (?:промпт|инструкц|запрос)|свои инструкции)",
        r"(?:显示|输出|打印|告诉我|展示|透露|重复)[^。\n]{0,8}?(?:系统提示|系統提示|系统指令|初始提示|提示词)",
        r"(?:システムプロンプト|初期プロンプト|システム指示)を?[^。\n]{0,6}?(?:教え|表示|見せ|出力|公開)",
        r"(?:시스템 프롬프트|시스템 지시|초기 프롬프트)[^.\n]{0,8}?(?:보여|알려|출력|공개)",
    ),
    _rule(
        "jailbreak",
        "jailbr jail-br",
        r"\bjail-?br(?:eak|oken)(?:s|ing|ed)?\b",
        unless=r"\b(?:i?phones?|ipads?|ipods?|ios|devices?|android|kindle|console|playstation|ps[345]|tv|cydia|film|movie|series|prison|prisoners?|county|inmates?|detect\w{0,4}|warranty|apple)\b",
    ),
    _rule(
        "do anything now",
        "anything dan developer",
        r"(?<!n.t )(?<!not )(?<!nt )\bdo anything now\b",
        r"\b(?:act|stay|respond|answer|behave|speak|you are|play)\b(?: in character)? as dan\b",
        r"\bdan mode\b",
        r"\bdeveloper mode (?:enabled|output|unlocked|activated)\b",
    ),
    _rule(
        "chat-template markers",
        "<| [inst] [/inst] <<sys >> <start_of <end_of system_prompt system-prompt <system </system",
        r"<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|end|eot_id|eom_id|start_header_id|end_header_id|begin_of_text|end_of_text|begin.of.sentence|end.of.sentence|start_of_role|end_of_role|channel|message|python_tag)\|>",
        r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>",
        r"</?system[-_ ]?(?:prompt|message|instructions?)>",
    ),
)
