"""Words that tell what a question asks for, as beginnings of words, in some twenty languages.

One signal among several: a language that is missing here still has its length, numbers, formulas,
punctuation and code.
"""

from __future__ import annotations

from enum import StrEnum
from unicodedata import normalize


class Kind(StrEnum):
    """What a word speaks for."""

    CODE = "code words"
    MAKE = "words of making"
    MATHS = "maths words"
    PROVE = "words of proof"
    REASON = "words of analysis"
    WHY = "words of explaining"
    LIMIT = "words of constraint"
    SIMPLE = "words of small tasks"
    FACT = "words of fact"


# The shortest and the longest beginning that is looked up.
SHORTEST, LONGEST = 4, 10

# Latin script, without accents. A full stop at the end marks a whole word, not a beginning.
_LATIN = {
    Kind.CODE: """
        algorit algoryt android ansible api. apis. arduino array. arrays. async. aws. azure. backend
        bash. boolean. boucle bucle bugfix bugs. callback chatbot cmake cobol. code. codebase coder.
        codice. codigo. coding. compil cors. cpp. crawler css. csv. databas datenbank deadlock debug
        decompil deploy devops django docker docstring elasticse endpoint enum. erlang excel.
        fastapi flutter fonction fonksiyon fortran frontend funcao funcion function funkcj funktion
        funzion gcc. git. github gitlab golang goroutin graphql hashmap haskell heapsort html. http.
        implement interpret ios. java. javascr jenkins jquery json. jwt. kafka. keras kernel kod.
        kodu. kotlin kubectl kubernet lambda. laravel latex. linker. linux. lisp. makefile malloc
        matlab mergesort microserv middleware mongodb mutex mysql nextjs nginx nodejs npm. nullpoint
        numpy. oauth opengl pandas. parser. perl. php. plugin pointers. postgres powershell
        programa. programar programm programming pseudocode pytest pytho pytorch queries. query.
        quicksort rabbitmq react. recurs redis. refactor refaktor regex. regexp rekurs repo.
        repository ruby. rust. schema. schleife scipy scraper scraping script. scripts. sdk.
        segfault semaphor sklearn skript skrypt sql. sqlite stacktr stdin stdout struct. svelte
        tailwind tensorfl terraform thread. threads. traceback typescr ubuntu unittest unix. variabl
        variavel vba. webapp webpack webseite website websocket xml. xpath yaml. zmienn
        """,
    Kind.MAKE: """
        add. automat automatis automatiz baue. bouw. build. convert. crea. crear. create. cree.
        creer. criar. crie. desarroll desenvolv develop ecri. ecrir ecris. entwick erstell escrev
        escrib extend faca. fix. fixen. generat genere. haz. implementier maak. make. napis ohjelmoi
        olustur optimi parse. port. programmier rewrite. schreib schrijf scrivi. skapa. skriv. sort.
        stworz sviluppa test. tests. tulis. utworz viet. write. yaz. yazil zrob
        """,
    Kind.MATHS: """
        algebra asal. asymptot bijectiv binomial calculus coefficient combinator compounded
        continuous converge. convergen converges cosinus denklem deriva. derivad derivati derivee
        determinant diameter differenti divisible divisor ecuacion eigenv equacao equation equazion
        factorial faktorial fibonacci fraction. geometr gleichung gleichungs hypotenus induction
        inequalit injectiv integer. integers integral irracional irration isomorph logarit matematik
        mathemat matrice matris. matrix. matriz median. modulo. olasilik percentage perimeter permut
        polinom polynom prawdopod prime. primes. primzahl probabil quadrat remainder rownan sannolik
        statistic statistik theorem topolog trigonom turev. varianc variance vecteur vektor
        wahrschein
        """,
    Kind.PROVE: """
        begrund berechn beregn bereken bevis. bevisa beweis bewijs calcola. calcula. calcular
        calculate calcule. compute. deduc demonst demontr demostr demuestr derive. dimostr dowod.
        factorise factorize hesapla integrate ispatla justif kanit. kanitla loese. oblicz proof.
        proofs. prove. proved. proves. resolv resoudre resous. resuelv risolv rozwiaz solve. solves.
        solving udowod
        """,
    Kind.REASON: """
        advantag alternativ analis analiz analys analyz argument. argumento arguments assess.
        avantag beurteil bewert causas. cause. causes. compar conclusion cons. consequen contradict
        convinc counterar critici critiq curriculum debate. decide. decision degerlend design.
        desvant desventaj diagnos differenc dilemma discuss discut disena diskut drawback entwerf
        entwirf essay. ethical evaluat evaluier forecast hypothes impact. implicat inconven
        interpretat itiner jamfor karsilast kompar konsekven konzept lernplan logic. logical migrat
        nachteil optimal. paradox plan. planla plano. porown pricing. priorit pros. przeanal razona.
        reason. reasoning reasons. recommend roadmap scenari scenario schedule. schritt strateg
        suppose. syllogis therefore thesis. trade. tradeoff tradeoffs unterschied vantagg ventaj
        vergelij vergleich vorteil vorzug wady. weigh. whether. zalety
        """,
    Kind.WHY: """
        acikla. comment. dlaczego erklar explain. explains explica. expliq forklar how. jelas.
        jelaskan mengapa nasil. neden. nicin. perche. porque. pourquoi spiega. think. uitleg. varfor
        waarom warum weshalb why. wieso. wyjasnij
        """,
    Kind.LIMIT: """
        almeno. bez. budget. cada. cannot. constraint each. every. exactly. genau. hochstens jede.
        jeder. least. massimo. maximal. maximo. maximum. menos. mindestens minimal. minimo. minimum.
        moins. most. must. najmniej ohne. only. orcamento presupu presupuesto sans. sem. senza. sin.
        under. utan. within. without. zonder
        """,
    Kind.SIMPLE: """
        bedeut betekent birthday caption. cevir. correct. corrig dire. dit. dize. emoji. formal.
        formale. formell gedicht grammar. grammat haiku. heisst. joke. korrig limerick mean.
        meaning. means. opposite. orthogr paraphras plural. poem. poema. poeme. polite. politer
        popraw przetlum rechtsch reformul reim. rephras reword. rhyme. rhymes. say. shorten.
        shorter. signif sinonim slogan. spell. spelled. spelling. stand. stands. synonym terjemah
        traduc traduis. traduz. translat translate ubersetz vertaal
        """,
    Kind.FACT: """
        born. capital. capitale. chi. cuando. died. donde. founded. hauptstad hoofdstad invented.
        kdo. kto. name. named. quand. qui. quien. quienes. stolica. vem. wann. wem. wer. when.
        where. who. whom. whose. wrote. year.
        """,
}

# Scripts whose words are not set apart, or begin with prefixes: found anywhere in the text.
_ELSEWHERE = {
    Kind.CODE: """
        алгоритм бота запрос интерпретатор код компилятор парсер программ рекурси скрипт функци функці
        代码 代碼 编译 編譯 爬虫 爬蟲 程序 程式 脚本 腳本 数据库 資料庫 报错 報錯 递归 算法 函数 函數 哈希
        コード 関数 プログラム コンパイラ アルゴリズム スクリプト クエリ デバッグ データベース 二分木
        코드 함수 프로그램 알고리즘 컴파일러 파이썬 스크립트 쿼리 데이터베이스
        خوارزمية دالة برمجة بايثون برنامج कोड प्रोग्राम फ़ंक्शन एल्गोरिद्म पाइथन डेटाबेस
        קוד פונקציה אלגוריתם โค้ด ฟังก์ชัน โปรแกรม κώδικα συνάρτηση πρόγραμμα
        """,
    Kind.MAKE: """
        напиши создай реализу исправить разработай оптимизируй створи
        写个 写一 编写 帮我写 寫個 寫一 幫我寫 做一个 开发 实现 書いて 作って 作成 実装 最適化
        만들어 작성 구현 اكتب أنشئ लिखो लिखें बनाओ כתוב เขียน γράψε
        """,
    Kind.MATHS: """
        уравнен корень интеграл производн вероятност матриц теорем иррационал рівнян ймовірн
        方程 积分 積分 导数 概率 矩阵 定理 三角形 质数 素数 整数 確率 微分 行列 自然数 倍数
        방정식 확률 적분 미분 행렬 معادلة تكامل احتمال مصفوفة समीकरण प्रायिकता संख्या
        משוואה הסתברות สมการ εξίσωση
        """,
    Kind.PROVE: """
        докажи доказат решите вычисли доведи розв'яжи 证明 證明 求解 推导 計算せよ 証明 求めよ 解いて
        증명 구하 풀이 أثبت برهن احسب सिद्ध ज्ञात הוכח พิสูจน์ απόδειξε
        """,
    Kind.REASON: """
        анализ недостатк обоснуй оцени план плюсы минусы преимуществ причин проаналізуй проанализируй
        сравни порівняй стратеги 分析 比较 比較 对比 對比 方案 规划 计划 計劃 利弊 优缺点 策略 评价 論述
        利点 欠点 影響 計画 評価 戦略 분석 비교 장단점 계획 전략 평가 أسباب حلل خطة قارن عيوب مزايا
        तुलना नुकसान फायदे विश्लेषण योजना יתרונות נתח השווה תכנן เปรียบเทียบ วางแผน วิเคราะห์
        ανάλυσε σύγκρινε
        """,
    Kind.WHY: """
        зачем объясни почему поясни чому 为什么 為什麼 解释 解釋 怎么 怎麼 なぜ 説明 왜 설명 اشرح لماذا كيف
        क्यों समझा למה הסבר ทำไม อธิบาย γιατί εξήγησε
        """,
    Kind.LIMIT: """
        без бюджет менее более 不超过 不吃 至少 每周 每月 最多 必须 要求 预算 以内 以下 まで 予算 없이 예산 최대
        최소 بدون ميزانية बजट बिना תקציב ללא งบประมาณ
        """,
    Kind.SIMPLE: """
        ошибки переведи перевод перефраз пишется слово синоним 翻译 翻譯 礼貌 怎么说 怎麼說 这个词 改得 短诗
        丁寧 英語に 読み方 訳して 번역 ترجم अनुवाद תרגם แปล μετάφρασε
        """,
    Kind.FACT: """
        кто когда где сколько столиц хто коли 谁 誰 哪一年 多高 多远 首都 何年 一番 누가 언제 어디 متى عاصمة
        कौन कहाँ राजधानी איפה מתי ใคร เมื่อไหร่ ποιος πότε
        """,
}


# Letters that are no plain letter with an accent.
_PLAIN = str.maketrans({"ı": "i", "ł": "l", "đ": "d", "ø": "o", "æ": "ae", "œ": "oe", "þ": "th"})


def fold(text: str) -> bytes:
    """Return the Latin letters and digits of a text in lower case, without accents."""
    if text.isascii():
        return text.lower().encode()
    return normalize("NFKD", text.casefold().translate(_PLAIN)).encode("ascii", "ignore")


def _sort_latin() -> tuple[dict[bytes, Kind], dict[bytes, Kind]]:
    words: dict[bytes, Kind] = {}
    beginnings: dict[bytes, Kind] = {}
    for kind, stems in _LATIN.items():
        for stem in fold(stems).split():
            if stem.endswith(b"."):
                words[stem[:-1]] = kind
            else:
                beginnings[stem[:LONGEST]] = kind
    return words, beginnings


WORDS, BEGINNINGS = _sort_latin()
ELSEWHERE = tuple((stem, kind) for kind, stems in _ELSEWHERE.items() for stem in stems.split())
