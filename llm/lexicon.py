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
        algorit algoryt api. apis. arduino async. backend bash. bugfix code. coder. codebase codice.
        codigo. coding. compil cpp. css. csv. databas datenbank deadlock debug decompil docker django
        docstring dockerfile endpoint fastapi flask fonction fortran frontend funcao funcion function
        funktion funkcj funzion git. github golang goroutin haskell html. implement interpret java.
        javascr json. jwt. kernel kotlin kubernet lambda. latex. linux. lisp. malloc mongodb mutex
        mysql nodejs npm. nullpoint numpy. pandas. parser. php. postgres powershell programa. programar
        programm programming pytest pytho quicksort react. recurs refactor refaktor regex. regexp
        rekurs ruby. rust. schema. script. scripts. sdk. segfault semaphor shell. skript. skrypt. sql.
        sqlite stacktr swift. terraform typescr ubuntu unittest unix. variabl webapp websocket xml.
        yaml. schleife boucle. bucle
        """,
    Kind.MAKE: """
        build. convert. crea. crear. create. creer. crie. criar. cree. desarroll develop
        ecri. ecrir ecris. entwick erstell escrev escrib faca. fix. generat genere. haz. implementier
        make. maak. napis olustur optimi port. programmier rewrite. schreib schrijf scrivi. skapa.
        skriv. stworz sviluppa tulis. utworz viet. write. yaz. yazil zrob
        """,
    Kind.MATHS: """
        algebra asymptot binomial combinator continuous converge. converges convergent convergen
        cosinus derivad derivati derivee determinant divisib ecuacion eigenv equacao equation equazion
        factorial faktorial fibonacci geometr gleichung gleichungs induction integer. integers integral
        irration irracional isomorph logarit mathemat matematik matriz matrice matrix. modulo. olasilik
        polynom permut primzahl prime. primes. prawdopod probabil quadrat rownan sannolik statistic
        theorem topolog trigonom varianc vektor wahrschein
        """,
    Kind.PROVE: """
        begrund bewijs beweis berechn bevisa. calcola. calcula. calcule. compute. deduc demonst
        demontr demostr demuestr derive. dimostr dowod. ispatla justif kanit. proof. proofs. prove.
        proved. proves. resolv resoudre resous. resuelv risolv rozwiaz solve. solves. solving udowod
        """,
    Kind.REASON: """
        analis analiz analys analyz argument. arguments assess. avantag advantag beurteil bewert
        causas. cause. causes. compar consequen convinc counterar critiq critici curriculum decision
        desventaj desvant design. diagnos discuss discut disena diskut drawback entwirf entwerf essay.
        evaluat evaluier hypothes implicat inconven itiner jamfor konsekven kompar konzept lernplan
        migrat nachteil plan. plano. porown pricing. pros. cons. przeanal prioriti reason. reasoning
        razona. roadmap schritt. schedule. strateg trade. tradeoff vantagg ventaj vergleich verglei
        vergelij vorteil vorzug wady. zalety. weigh.
        """,
    Kind.WHY: """
        comment. dlaczego erklar explain. explains expliq explica. forklar how. mengapa neden. nicin.
        perche. porque. pourquoi spiega. think. uitleg. waarom warum varfor weshalb why. wieso.
        wyjasnij
        """,
    Kind.LIMIT: """
        almeno. bez. least. budget. cada. cannot. constraint each. every. exactly. genau. hochstens
        jede. jeder. maximal. maximum. maximo. massimo. mindestens minimal. minimum. minimo. menos.
        moins. most. must. najmniej ohne. only. presupuesto presupu orcamento sans. sem. senza. sin.
        under. utan. within. without. zonder
        """,
    Kind.SIMPLE: """
        bedeut betekent birthday caption. cevir. correct. corrig  dire. dit. dize. emoji. formal.
        formale. formell gedicht grammar. grammat haiku. heisst. joke. korrig limerick mean. meaning.
        means. opposite. orthogr paraphras plural. poem. poema. poeme. polite. politer popraw przetlum
        rechtsch reformul rephras reword. reim. rhyme. rhymes. say. shorten. shorter. signif sinonim
        slogan. spell. spelled. spelling. stands. stand. synonym terjemah traduc traduis. traduz.
        translat translate ubersetz vertaal
        """,
    Kind.FACT: """
        born. capital. capitale. chi. cuando. died. donde. founded. hauptstad hoofdstad invented. kdo.
        kto. named. name. quand. qui. quien. quienes. stolica. vem. wann. wem. wer. when. where. who. whom.
        whose. wrote. year.
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


def fold(text: str) -> bytes:
    """Return the Latin letters and digits of a text in lower case, without accents."""
    return normalize("NFKD", text.casefold()).encode("ascii", "ignore")


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
