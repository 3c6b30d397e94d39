/*
 * The languages of the stand-in's daemon: the file language of the world holds "de" or "ja", and
 * then its messages are in German or Japanese, as libvirtd's with LANG=de_DE or ja_JP. Texts are
 * those of po/de.po and po/ja.po of libvirt 9.0.0, without fuzzy ones; libvirt says in English what
 * a language lacks, as German does for a PCI device in use. What qemu says is never translated.
 */
#ifndef TESTS_FAKE_LANGUAGE_H
#define TESTS_FAKE_LANGUAGE_H

#include "tests/fake/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANGUAGE_TEXT = 1024, LANGUAGE_ARGUMENTS = 4 };

static const struct language_row {
    const char *english, *german, *japanese; /* NULL: English */
} language_rows[] = {
    {"internal error: %s", "Interner Fehler: %s", "内部エラー: %s"},
    {"Requested operation is not valid: %s", "Angeforderte Operation ist nicht gültig: %s",
     "要求された操作は有効ではありません: %s"},
    {"operation failed: %s", "Operation schlug fehl: %s", "操作に失敗しました: %s"},
    {"Timed out during operation: %s", "Zeit abgelaufen während der Aktion: %s",
     "オペレーション中にタイムアウトが発生しました: %s"},
    {"device not found: %s", NULL, "デバイスが見つかりません: %s"},
    {"XML error: %s", "XML Fehler: %s", "XML エラー: %s"},
    {"Domain not found: %s", "Domain nicht gefunden: %s", "ドメインは見つかりませんでした: %s"},
    {"unable to execute QEMU command '%s': %s", "Kann Qemu-Befehl '%s' nicht ausführen: %s",
     "QEMU コマンド '%s' を実行できません: %s"},
    {"PCI device %s is in use by driver %s, domain %s", NULL,
     "PCI デバイス %s は、ドライバー %s、ドメイン %s が使用中です"},
    {"USB device %s is in use by driver %s, domain %s", NULL,
     "USB デバイス %s は、ドライバー %s、ドメイン %s が使用中です"},
    {"mediated device %s is in use by driver %s, domain %s", NULL,
     "仲介デバイス %s はドライバー %s、ドメイン %s が使用中です"},
    {"SCSI device %s is already in use by other domain(s) as '%s'", NULL,
     "SCSI デバイス%s は、'%s' として他のドメインによってすでに使用されています"},
    {"domain is not running", "Domain läuft nicht", "ドメインが稼働していません"},
    {"No more available PCI slots", "Keine weiteren PCI-Slots verfügbar",
     "利用可能な PCI スロットがありません"},
    {"unplug of device was rejected by the guest", NULL,
     "デバイスの取り外しがゲストによって拒否されました"},
    {"cannot acquire state change lock (held by monitor=%s)", NULL,
     "状態変更ロックを獲得できません (monitor=%s が保持)"},
    {"cannot acquire state change lock", "Kann Status-Änderungs-Lock nicht abrufen",
     "状態変更ロックを獲得できません"},
    {"An error occurred, but the cause is unknown",
     "Ein Fehler ist aufgetreten, aber die Ursache ist unbekannt",
     "エラーが発生しましたが、原因がわかりません"},
    {"Did not find USB device %s:%s bus:%s device:%s", NULL,
     "USB デバイス %s:%s バス:%s デバイス:%s を見つけられませんでした"},
    {"Cannot access storage file '%s'", NULL, "ストレージファイル '%s' にアクセスできません"},
    {"mediated device '%s' not found", NULL, "仲介デバイス '%s' が見つかりません"},
    {"Unable to access %s", "Kann auf %s nicht zugreifen", "%s にアクセスできません"},
    {"End of file while reading data: %s", "Ende der Datei beim Lesen von Daten: %s",
     "データの読み込み中に EOF がありました: %s"},
    {"client socket is closed", "Client Socket ist geschlossen",
     "クライアントソケットが閉じられました"},
    {"Cannot write data", "Kann Daten nicht schreiben", "データを書き込みできません"},
};

/* Whether the text is the pattern, whose "%s" are put into `arguments`. */
static inline bool language_matches(const char *pattern, const char *text,
                                    char arguments[LANGUAGE_ARGUMENTS][LANGUAGE_TEXT]) {
    for (int count = 0;; count++) {
        const char *end = strstr(pattern, "%s");
        size_t length = end ? (size_t)(end - pattern) : strlen(pattern);
        if (strncmp(text, pattern, length) != 0)
            return false;
        if (!end)
            return !text[length];
        text += length;
        pattern = end + 2;
        const char *next = strstr(pattern, "%s");
        size_t rest = next ? (size_t)(next - pattern) : strlen(pattern);
        char follows[LANGUAGE_TEXT];
        snprintf(follows, sizeof follows, "%.*s", (int)rest, pattern);
        const char *stop = *follows ? strstr(text, follows) : text + strlen(text);
        if (!stop || count == LANGUAGE_ARGUMENTS)
            return false;
        snprintf(arguments[count], LANGUAGE_TEXT, "%.*s", (int)(stop - text), text);
        text = stop;
    }
}

/* In place. */
static inline void language_put(char text[LANGUAGE_TEXT], bool german) {
    char arguments[LANGUAGE_ARGUMENTS][LANGUAGE_TEXT], out[LANGUAGE_TEXT];
    size_t row = 0, count = sizeof language_rows / sizeof *language_rows;
    while (row < count && !language_matches(language_rows[row].english, text, arguments))
        row++;
    if (row == count)
        return;
    const char *own = german ? language_rows[row].german : language_rows[row].japanese;
    size_t size = 0;
    int number = 0;
    for (const char *at = own ? own : language_rows[row].english; *at && size + 1 < sizeof out;)
        if (strncmp(at, "%s", 2) == 0) {
            language_put(arguments[number], german);
            size += (size_t)snprintf(out + size, sizeof out - size, "%s", arguments[number++]);
            at += 2;
        } else {
            out[size++] = *at++;
        }
    if (size >= sizeof out)
        abort();
    memcpy(text, out, size);
    text[size] = '\0';
}

static inline void language_translate(char text[LANGUAGE_TEXT]) {
    char path[WORLD_PATH];
    char *language = world_read(world_path(path, "language"));
    if (language)
        language_put(text, strcmp(language, "de") == 0);
    free(language);
}

#endif
